#include "server/output_dispatcher.h"

#include <gtest/gtest.h>

#include "server/fake_engine.h"
#include "server/tiny_tokenizer.h"

namespace hadal {
namespace {

constexpr Duration kPatience = std::chrono::seconds(20);

class OutputDispatcherTest : public ::testing::TestWithParam<int> {
 protected:
  OutputDispatcherTest() { dispatcher_.attach(engine_); }

  // A sequence of its own generation, known to dispatcher and engine.
  RequestId submit(const std::shared_ptr<Generation>& generation,
                   std::vector<std::string> stop = {}) {
    const RequestId id = engine_.next_id();
    auto decoder =
        ChoiceDecoder::create(tiny_tokenizer(), {.stop = {.stop_strings = std::move(stop)}}, 0);
    dispatcher_.add({.request = id,
                     .decoder = std::move(decoder).value(),
                     .generation = generation,
                     .arrival = clock_.now()});
    EXPECT_TRUE(engine_.submit(id, {}).ok());
    return id;
  }

  // All text until the end.
  static std::string read(Generation& generation) {
    std::string text;
    while (!generation.finished()) {
      if (!generation.wait_for(kPatience)) {
        ADD_FAILURE() << "no end came";
        break;
      }
      for (const ChoiceUpdate& update : generation.take()) text += update.content;
    }
    return text;
  }

  SteadyClock clock_;
  ServerMetrics metrics_;
  OutputDispatcher dispatcher_{GetParam(), metrics_, clock_};
  FakeEngine engine_{dispatcher_};
};

TEST_P(OutputDispatcherTest, EachSequenceGetsItsOwnText) {
  std::vector<std::shared_ptr<Generation>> generations;
  std::vector<RequestId> ids;
  for (int i = 0; i < 20; ++i) {
    generations.push_back(std::make_shared<Generation>(1, 100));
    ids.push_back(submit(generations.back()));
  }
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < ids.size(); ++i) engine_.emit(ids[i], tokens_of(std::to_string(i)));
  }
  for (const RequestId id : ids) engine_.end(id, FinishReason::kLength, 3);
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string once = std::to_string(i);
    EXPECT_EQ(read(*generations[i]), once + once + once);
  }
}

TEST_P(OutputDispatcherTest, AStopStringIsReportedOnce) {
  const auto generation = std::make_shared<Generation>(1, 100);
  const RequestId id = submit(generation, {"B"});
  engine_.emit(id, tokens_of("aBc"));
  EXPECT_TRUE(engine_.finished_at(id).has_value());
  EXPECT_EQ(read(*generation), "a");
}

TEST_P(OutputDispatcherTest, AnAbandonedGenerationIsCancelled) {
  const auto generation = std::make_shared<Generation>(1, 100);
  const RequestId id = submit(generation);
  generation->abandon();
  engine_.emit(id, tokens_of("a"));
  EXPECT_TRUE(engine_.wait_until_all_ended());
  EXPECT_TRUE(engine_.was_cancelled(id));
}

TEST_P(OutputDispatcherTest, ARefusedSequenceLeavesNothingBehind) {
  const auto generation = std::make_shared<Generation>(1, 100);
  const RequestId id = engine_.next_id();
  dispatcher_.add({.request = id,
                   .decoder = ChoiceDecoder::create(tiny_tokenizer(), {}, 0).value(),
                   .generation = generation,
                   .arrival = clock_.now()});
  dispatcher_.remove(id);
  dispatcher_.stop();
  EXPECT_EQ(generation.use_count(), 1) << "the route still holds it";
}

TEST_P(OutputDispatcherTest, StopHandlesWhatWasDelivered) {
  const auto generation = std::make_shared<Generation>(1, 100);
  const RequestId id = submit(generation);
  engine_.emit(id, tokens_of("late"));
  engine_.end(id, FinishReason::kLength, 1);
  dispatcher_.stop();
  EXPECT_EQ(read(*generation), "late");
}

INSTANTIATE_TEST_SUITE_P(Threads, OutputDispatcherTest, ::testing::Values(1, 3));

}  // namespace
}  // namespace hadal
