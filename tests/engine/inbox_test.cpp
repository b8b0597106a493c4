#include "engine/inbox.h"

#include <gtest/gtest.h>

#include <thread>

namespace hadal {
namespace {

Request request_of(int prompt_tokens) {
  Request request;
  request.prompt.resize(prompt_tokens);
  return request;
}

TEST(Inbox, RefusesOneRequestMoreThanMayWait) {
  Limits limits;
  limits.requests_queued_max = 2;
  Inbox inbox(limits);
  EXPECT_TRUE(inbox.submit(RequestId{1}, request_of(1)).ok());
  EXPECT_TRUE(inbox.submit(RequestId{2}, request_of(1)).ok());
  EXPECT_EQ(inbox.submit(RequestId{3}, request_of(1)).error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(inbox.live(), 2);
  inbox.set_queued(0, 0);  // nothing taken yet: those in the inbox still count
  EXPECT_FALSE(inbox.submit(RequestId{3}, request_of(1)).ok());
  Inbox::Batch batch;
  inbox.take(Duration{0}, batch);
  EXPECT_FALSE(inbox.submit(RequestId{3}, request_of(1)).ok()) << "taken is not admitted";
  inbox.set_queued(1, 1);
  EXPECT_TRUE(inbox.submit(RequestId{3}, request_of(1)).ok());
}

TEST(Inbox, RefusesOneTokenMoreThanMayWait) {
  Limits limits;
  limits.tokens_queued_max = 100;
  Inbox inbox(limits);
  EXPECT_TRUE(inbox.submit(RequestId{1}, request_of(60)).ok());
  EXPECT_FALSE(inbox.submit(RequestId{2}, request_of(41)).ok());
  EXPECT_TRUE(inbox.submit(RequestId{3}, request_of(40)).ok());
}

TEST(Inbox, MarksAreNeverRefusedAndMerge) {
  Limits limits;
  limits.requests_queued_max = 1;
  Inbox inbox(limits);
  ASSERT_TRUE(inbox.submit(RequestId{1}, request_of(1)).ok());
  inbox.finish_at(RequestId{1}, 7);
  inbox.finish_at(RequestId{1}, 5);
  inbox.finish_at(RequestId{1}, 9);
  inbox.cancel(RequestId{1});
  inbox.cancel(RequestId{2});  // not live: no effect
  Inbox::Batch batch;
  inbox.take(Duration{0}, batch);
  ASSERT_EQ(batch.submissions.size(), 1U);
  ASSERT_EQ(batch.marks.size(), 1U);
  EXPECT_EQ(batch.marks[0].finish_at, 5);
  EXPECT_TRUE(batch.marks[0].cancel);
  inbox.take(Duration{0}, batch);
  EXPECT_TRUE(batch.submissions.empty());
  EXPECT_TRUE(batch.marks.empty());
  inbox.finish_at(RequestId{1}, 3);
  inbox.ended(RequestId{1});
  inbox.take(Duration{0}, batch);
  EXPECT_TRUE(batch.marks.empty());
}

TEST(Inbox, OneWaitCoversPostsAndWakes) {
  Inbox inbox(Limits{});
  Inbox::Batch batch;
  std::thread poster([&] { EXPECT_TRUE(inbox.submit(RequestId{1}, request_of(1)).ok()); });
  inbox.take(std::nullopt, batch);
  poster.join();
  EXPECT_EQ(batch.submissions.size(), 1U);
  std::thread waker([&] { inbox.wake(); });
  inbox.take(std::nullopt, batch);
  waker.join();
  inbox.take(std::chrono::milliseconds(1), batch);  // nothing: the time passes
  EXPECT_TRUE(batch.submissions.empty());
}

TEST(Inbox, AWakeBeforeTheWaitIsNotLost) {
  Inbox inbox(Limits{});
  inbox.wake();
  Inbox::Batch batch;
  inbox.take(std::nullopt, batch);
}

TEST(Inbox, CloseRefusesWithTheFirstReason) {
  Inbox inbox(Limits{});
  ASSERT_TRUE(inbox.submit(RequestId{1}, request_of(1)).ok());
  inbox.close({ErrorCode::kUnavailable, "draining"});
  inbox.close({ErrorCode::kUnavailable, "stopped"});
  EXPECT_EQ(inbox.submit(RequestId{2}, request_of(1)).error().message, "draining");
  Inbox::Batch batch;
  inbox.take(Duration{0}, batch);
  EXPECT_EQ(batch.submissions.size(), 1U);
}

TEST(Inbox, TellsWhenAllHaveEnded) {
  Inbox inbox(Limits{});
  EXPECT_TRUE(inbox.wait_until_all_ended(Duration{0}));
  ASSERT_TRUE(inbox.submit(RequestId{1}, request_of(1)).ok());
  EXPECT_FALSE(inbox.wait_until_all_ended(Duration{0}));
  std::thread loop([&] { inbox.ended(RequestId{1}); });
  EXPECT_TRUE(inbox.wait_until_all_ended(std::chrono::minutes(1)));
  loop.join();
}

}  // namespace
}  // namespace hadal
