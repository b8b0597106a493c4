// The step protocol on the CPU: DESIGN.md section 3, sentence by sentence.
#include "hadal/ops/cpu/cpu_step_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace hadal::ops {
namespace {

using ::testing::ElementsAre;

constexpr int32_t kVocab = 32;
constexpr TokenId kEos = 1;
constexpr int32_t kPages = 8;

// Drives a state with scripted logits: the network is replaced by lists of winning tokens.
class Stepper {
 public:
  explicit Stepper(int drafts_max = 3, DraftChoice choice = DraftChoice::kGreedy)
      : state_(make_cpu_step_state({.slots = 4,
                                    .pages_per_slot = kPages,
                                    .pages_total = 4 * kPages + 1,
                                    .vocab_size = kVocab,
                                    .drafts_max = drafts_max,
                                    .query_tokens_max = 512,
                                    .draft_choice = choice})) {}

  StepPlan plan(int drafts) {
    StepPlan p;
    p.step = ++step_;
    p.drafts = drafts;
    return p;
  }
  static SamplingParams greedy() {
    SamplingParams s;
    s.temperature = 0.0F;
    s.eos_token_id = kEos;
    return s;
  }
  // Opens slot `slot` with all its pages.
  static void open(StepPlan& p, int32_t slot, int32_t tokens_left, SamplingParams sampling,
                   int32_t pages = kPages, int32_t computed = 0) {
    p.opens.push_back({.slot = SlotId{slot},
                       .incarnation = Incarnation{100u + static_cast<unsigned>(slot)},
                       .computed_tokens = computed,
                       .tokens_left = tokens_left,
                       .sampling = std::move(sampling)});
    const auto begin = static_cast<int32_t>(p.pages.size());
    for (int32_t i = 0; i < pages; ++i) p.pages.push_back(PageId{1 + slot * kPages + i});
    p.grants.push_back({SlotId{slot}, 0, begin, begin + pages});
  }
  static void prefill(StepPlan& p, int32_t slot, int32_t first, std::vector<TokenId> tokens,
                      TokenId look_ahead = kNoToken) {
    const auto begin = static_cast<int32_t>(p.tokens.size());
    p.tokens.insert(p.tokens.end(), tokens.begin(), tokens.end());
    p.rows.push_back({.kind = RowKind::kPrefill,
                      .slot = SlotId{slot},
                      .incarnation = Incarnation{100u + static_cast<unsigned>(slot)},
                      .first_position = first,
                      .tokens_begin = begin,
                      .tokens_end = static_cast<int32_t>(p.tokens.size()),
                      .look_ahead = look_ahead});
  }
  static void decode(StepPlan& p, int32_t slot) {
    p.rows.push_back({.kind = RowKind::kDecode,
                      .slot = SlotId{slot},
                      .incarnation = Incarnation{100u + static_cast<unsigned>(slot)}});
  }

  // Winners of every logits row, and of every draft round. A winner of -1 makes the row NaN.
  StepResult run(const StepPlan& p, std::vector<TokenId> winners,
                 std::vector<std::vector<TokenId>> drafts = {}) {
    begin(p, std::move(winners));
    for (int j = 1; j <= p.drafts; ++j) draft(j, drafts.at(static_cast<size_t>(j - 1)));
    return finish();
  }
  void begin(const StepPlan& p, std::vector<TokenId> winners) {
    state_->begin(p);
    EXPECT_EQ(p.logit_rows(), static_cast<int>(winners.size()));
    verify(winners);
  }
  void verify(const std::vector<TokenId>& winners) { state_->verify(logits(winners)); }
  void draft(int j, const std::vector<TokenId>& winners) { state_->draft(j, logits(winners)); }
  StepResult finish() {
    StepResult result;
    state_->finish(result);
    return result;
  }
  CpuStepState& state() { return *state_; }

 private:
  TensorView logits(const std::vector<TokenId>& winners) {
    logits_.assign(winners.size() * kVocab, 0.0F);
    for (size_t i = 0; i < winners.size(); ++i) {
      if (winners[i] < 0) {
        logits_[i * kVocab + 3] = NAN;
      } else {
        logits_[i * kVocab + static_cast<size_t>(winners[i])] = 5.0F;
      }
    }
    return {logits_.data(), DType::kF32, static_cast<int64_t>(winners.size()), kVocab};
  }

  std::unique_ptr<CpuStepState> state_;
  std::vector<float> logits_;
  uint64_t step_ = 0;
};

std::vector<int32_t> ids(const TokenBatch& b) {
  return {b.ids, b.ids + b.tokens};
}
std::vector<int32_t> positions(const TokenBatch& b) {
  return {b.positions, b.positions + b.tokens};
}
std::vector<int32_t> slots(const TokenBatch& b) {
  return {b.slots, b.slots + b.tokens};
}
std::vector<TokenId> tokens(const RowResult& r) {
  return {r.tokens.begin(), r.tokens.begin() + r.count};
}

// Slot 0 with prompt [10, 11, 12], first token 13 and drafts 14, 15, 16: last token at position 3.
Stepper decoding(int32_t tokens_left = 100, SamplingParams sampling = Stepper::greedy()) {
  Stepper s;
  StepPlan p = s.plan(3);
  Stepper::open(p, 0, tokens_left, std::move(sampling));
  Stepper::prefill(p, 0, 0, {10, 11, 12});
  const StepResult r = s.run(p, {13}, {{14}, {15}, {16}});
  EXPECT_THAT(tokens(r.rows[0]), ElementsAre(13));
  EXPECT_EQ(r.rows[0].proposed, 0);
  return s;
}

TEST(StepState, PrefillInChunksUsesTheLookAheadForTheMtpRow) {
  Stepper s;
  StepPlan p = s.plan(0);
  Stepper::open(p, 2, 5, Stepper::greedy());
  Stepper::prefill(p, 2, 0, {10, 11}, 12);
  s.begin(p, {});
  EXPECT_THAT(ids(s.state().target()), ElementsAre(10, 11));
  EXPECT_THAT(positions(s.state().target()), ElementsAre(0, 1));
  EXPECT_THAT(ids(s.state().mtp()), ElementsAre(11, 12));
  EXPECT_THAT(slots(s.state().mtp()), ElementsAre(2, 2));
  EXPECT_EQ(s.finish().rows[0].count, 0);

  StepPlan last = s.plan(2);
  Stepper::prefill(last, 2, 2, {12, 20, 21});
  s.begin(last, {7});
  EXPECT_THAT(positions(s.state().target()), ElementsAre(2, 3, 4));
  EXPECT_EQ(s.state().logit_tokens()[0], 2);
  EXPECT_THAT(ids(s.state().mtp()), ElementsAre(20, 21, 7));
  EXPECT_EQ(s.state().draft_tokens()[0], 2);
  s.draft(1, {8});
  EXPECT_THAT(ids(s.state().chain()), ElementsAre(8));
  EXPECT_THAT(positions(s.state().chain()), ElementsAre(5));  // token 7's position
  s.draft(2, {9});
  EXPECT_THAT(tokens(s.finish().rows[0]), ElementsAre(7));

  StepPlan step = s.plan(2);
  Stepper::decode(step, 2);
  s.begin(step, {8, 9, 11});
  EXPECT_THAT(ids(s.state().target()), ElementsAre(7, 8, 9));
  EXPECT_THAT(positions(s.state().target()), ElementsAre(5, 6, 7));
}

struct AcceptCase {
  std::vector<TokenId> winners;  // of the rows of [13, 14, 15, 16]
  std::vector<TokenId> emitted;
};

TEST(StepState, ADraftIsAcceptedIffItEqualsTheSampledToken) {
  const AcceptCase cases[] = {{{20, 15, 16, 17}, {20}},
                              {{14, 20, 16, 17}, {14, 20}},
                              {{14, 15, 20, 17}, {14, 15, 20}},
                              {{14, 15, 16, 17}, {14, 15, 16, 17}}};
  for (const AcceptCase& c : cases) {
    Stepper s = decoding();
    StepPlan p = s.plan(3);
    Stepper::decode(p, 0);
    s.begin(p, c.winners);
    EXPECT_THAT(ids(s.state().target()), ElementsAre(13, 14, 15, 16));
    EXPECT_THAT(positions(s.state().target()), ElementsAre(3, 4, 5, 6));
    const auto count = static_cast<int32_t>(c.emitted.size());
    const auto mtp_ids = ids(s.state().mtp());
    const auto mtp_slots = slots(s.state().mtp());
    for (int32_t i = 0; i < 4; ++i) {
      const auto at = static_cast<size_t>(i);
      EXPECT_EQ(mtp_slots[at], i < count ? 0 : -1);  // rejected rows write nowhere
      if (i < count) {
        EXPECT_EQ(mtp_ids[at], c.emitted[at]);
      }
    }
    EXPECT_EQ(s.state().draft_tokens()[0], count - 1);
    s.draft(1, {21});
    EXPECT_THAT(positions(s.state().chain()), ElementsAre(3 + count));
    s.draft(2, {22});
    EXPECT_THAT(positions(s.state().chain()), ElementsAre(3 + count + 1));
    s.draft(3, {23});
    const StepResult r = s.finish();
    EXPECT_EQ(tokens(r.rows[0]), c.emitted);
    EXPECT_EQ(r.rows[0].proposed, 3);
    EXPECT_EQ(r.rows[0].accepted, count - 1);
    EXPECT_EQ(r.rows[0].end, RowEnd::kNone);

    StepPlan next = s.plan(3);
    Stepper::decode(next, 0);
    s.begin(next, {2, 2, 2, 2});
    EXPECT_THAT(ids(s.state().target()), ElementsAre(c.emitted.back(), 21, 22, 23));
    EXPECT_EQ(s.state().target().positions[0], 3 + count);
  }
}

TEST(StepState, SurplusDraftsAreIgnoredAndMissingOnesAreNeverAcceptedNorProposed) {
  Stepper s = decoding();
  StepPlan fewer = s.plan(1);
  Stepper::decode(fewer, 0);
  const StepResult r = s.run(fewer, {14, 20}, {{21}});
  EXPECT_THAT(tokens(r.rows[0]), ElementsAre(14, 20));
  EXPECT_EQ(r.rows[0].proposed, 1);

  StepPlan more = s.plan(3);  // one draft is known, two are sentinels
  Stepper::decode(more, 0);
  // 0 is what a sentinel is computed with; sampling it must not count as acceptance.
  const StepResult r2 = s.run(more, {21, 0, 0, 0}, {{2}, {2}, {2}});
  EXPECT_THAT(tokens(r2.rows[0]), ElementsAre(21, 0));
  EXPECT_EQ(r2.rows[0].proposed, 1);

  StepPlan none = s.plan(0);
  Stepper::decode(none, 0);
  const StepResult r3 = s.run(none, {5});
  EXPECT_THAT(tokens(r3.rows[0]), ElementsAre(5));
  EXPECT_EQ(r3.rows[0].proposed, 0);
}

TEST(StepState, EosEndsTheRowAndTheNextStepFindsItInert) {
  Stepper s = decoding();
  StepPlan p = s.plan(3);
  Stepper::decode(p, 0);
  s.begin(p, {14, kEos, 16, 17});
  EXPECT_THAT(slots(s.state().mtp()), ElementsAre(0, 0, -1, -1));  // accepted positions are written
  EXPECT_EQ(s.state().mtp().ids[1], kEos);
  for (int j = 1; j <= 3; ++j) {
    s.draft(j, {2});
    EXPECT_THAT(slots(s.state().chain()), ElementsAre(-1));
  }
  const StepResult r = s.finish();
  EXPECT_THAT(tokens(r.rows[0]), ElementsAre(14, kEos));
  EXPECT_EQ(r.rows[0].end, RowEnd::kEos);
  EXPECT_EQ(r.rows[0].accepted, 1);  // the draft for the token of EOS was another one
  EXPECT_EQ(r.rows[0].proposed, 3);

  StepPlan after = s.plan(3);
  Stepper::decode(after, 0);
  s.begin(after, {2, 2, 2, 2});
  EXPECT_THAT(slots(s.state().target()), ElementsAre(-1, -1, -1, -1));
  EXPECT_THAT(slots(s.state().mtp()), ElementsAre(-1, -1, -1, -1));
  for (int j = 1; j <= 3; ++j) {
    s.draft(j, {2});
    EXPECT_THAT(slots(s.state().chain()), ElementsAre(-1));
  }
  const StepResult inert = s.finish();
  EXPECT_EQ(inert.rows[0].count, 0);
  EXPECT_EQ(inert.rows[0].proposed, 0);
  EXPECT_EQ(inert.rows[0].end, RowEnd::kNone);
}

TEST(StepState, IgnoreEosGoesOn) {
  SamplingParams params = Stepper::greedy();
  params.ignore_eos = true;
  Stepper s = decoding(100, params);
  StepPlan p = s.plan(0);
  Stepper::decode(p, 0);
  EXPECT_EQ(s.run(p, {kEos}).rows[0].end, RowEnd::kNone);
}

TEST(StepState, StopTokenEndsTheRowAlsoAmongAcceptedDrafts) {
  SamplingParams params = Stepper::greedy();
  params.stop_token_ids = {30, 15};
  Stepper s = decoding(100, params);
  StepPlan p = s.plan(3);
  Stepper::decode(p, 0);
  const StepResult r = s.run(p, {14, 15, 16, 17}, {{2}, {2}, {2}});
  EXPECT_THAT(tokens(r.rows[0]), ElementsAre(14, 15));
  EXPECT_EQ(r.rows[0].end, RowEnd::kStopToken);
  EXPECT_EQ(r.rows[0].accepted, 2);  // the stop token was an accepted draft too
}

TEST(StepState, LengthCutsTheOutputNotTheQueryTokens) {
  for (int32_t left = 2; left <= 6; ++left) {  // one went to the prefill's token
    Stepper s = decoding(left);
    StepPlan p = s.plan(3);
    Stepper::decode(p, 0);
    const StepResult r = s.run(p, {14, 15, 16, 17}, {{2}, {2}, {2}});
    EXPECT_EQ(r.rows[0].count, std::min(left - 1, 4));
    EXPECT_EQ(r.rows[0].accepted, std::min(left - 1, 3));
    EXPECT_EQ(r.rows[0].end, left - 1 <= 4 ? RowEnd::kLength : RowEnd::kNone) << left;
  }
}

TEST(StepState, ABudgetOfOneEndsWithTheFirstToken) {
  Stepper s;
  StepPlan p = s.plan(0);
  Stepper::open(p, 0, 1, Stepper::greedy());
  Stepper::prefill(p, 0, 0, {10});
  const StepResult r = s.run(p, {13});
  EXPECT_THAT(tokens(r.rows[0]), ElementsAre(13));
  EXPECT_EQ(r.rows[0].end, RowEnd::kLength);
}

TEST(StepState, ANotFiniteRowEndsAloneAfterTheTokensBeforeIt) {
  Stepper s = decoding();
  StepPlan open = s.plan(3);
  Stepper::open(open, 1, 100, Stepper::greedy());
  Stepper::prefill(open, 1, 0, {20});
  Stepper::decode(open, 0);
  const StepResult r = s.run(open, {21, 14, -1, 16, 17}, {{2, 2}, {2, 2}, {2, 2}});
  EXPECT_THAT(tokens(r.rows[0]), ElementsAre(21));
  EXPECT_EQ(r.rows[0].end, RowEnd::kNone);
  EXPECT_THAT(tokens(r.rows[1]), ElementsAre(14));
  EXPECT_EQ(r.rows[1].end, RowEnd::kNotFinite);

  StepPlan next = s.plan(0);
  Stepper::decode(next, 1);
  EXPECT_THAT(tokens(s.run(next, {22}).rows[0]), ElementsAre(22));
}

TEST(StepState, ADraftFromNotFiniteLogitsIsASentinel) {
  Stepper s = decoding();
  StepPlan p = s.plan(3);
  Stepper::decode(p, 0);
  s.run(p, {14, 20, 2, 2}, {{-1}, {2}, {2}});
  StepPlan next = s.plan(3);
  Stepper::decode(next, 0);
  EXPECT_EQ(s.run(next, {2, 2, 2, 2}, {{2}, {2}, {2}}).rows[0].proposed, 2);
}

TEST(StepState, AReopenedSlotStartsAfreshFromItsKnownTokens) {
  Stepper s = decoding();
  StepPlan p = s.plan(3);
  p.closes.push_back(SlotId{0});
  Stepper::open(p, 0, 7, Stepper::greedy(), kPages, 2);
  p.opens[0].incarnation = Incarnation{100};
  Stepper::prefill(p, 0, 2, {12, 13, 14});
  s.begin(p, {25});
  EXPECT_THAT(positions(s.state().target()), ElementsAre(2, 3, 4));
  for (int j = 1; j <= 3; ++j) s.draft(j, {26});
  EXPECT_THAT(tokens(s.finish().rows[0]), ElementsAre(25));
}

TEST(StepState, ClosingASlotClearsItsPageTable) {
  Stepper s = decoding();
  EXPECT_EQ(s.state().page_table()[0], 1);
  StepPlan p = s.plan(0);
  p.closes.push_back(SlotId{0});
  s.begin(p, {});
  s.finish();
  for (int i = 0; i < kPages; ++i) EXPECT_EQ(s.state().page_table()[i], raw(kTrashPage));
}

// Position 63 is the last of the one granted page.
TEST(StepStateDeathTest, AWritePastTheGrantedPagesAborts) {
  const auto run_to = [](int32_t prompt, int drafts) {
    Stepper s;
    StepPlan p = s.plan(0);
    Stepper::open(p, 0, 100, Stepper::greedy(), 1);
    Stepper::prefill(p, 0, 0, std::vector<TokenId>(static_cast<size_t>(prompt), 9));
    s.run(p, {13});
    StepPlan step = s.plan(drafts);
    Stepper::decode(step, 0);
    s.run(step, std::vector<TokenId>(static_cast<size_t>(drafts) + 1, 5),
          std::vector<std::vector<TokenId>>(static_cast<size_t>(drafts), {6}));
  };
  run_to(63, 0);  // writes position 63
  EXPECT_DEATH(run_to(64, 0), "granted are 1 pages");
  run_to(60, 3);  // writes 60 to 63, the chain 61 and 62
  EXPECT_DEATH(run_to(61, 3), "granted are 1 pages");
}

TEST(StepStateDeathTest, BrokenPlansAbort) {
  EXPECT_DEATH(
      {
        Stepper s = decoding();
        StepPlan p = s.plan(0);
        Stepper::decode(p, 0);
        p.rows[0].incarnation = Incarnation{999};
        s.begin(p, {2});
      },
      "row of sequence 999");
  EXPECT_DEATH(
      {
        Stepper s = decoding();
        StepPlan p = s.plan(0);
        Stepper::open(p, 0, 5, Stepper::greedy());
        s.begin(p, {});
      },
      "opened while");
  EXPECT_DEATH(
      {
        Stepper s = decoding();
        StepPlan p = s.plan(4);
        s.begin(p, {});
      },
      "K = 4, at most 3");
}

}  // namespace
}  // namespace hadal::ops
