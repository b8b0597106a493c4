#include "kv_cache/page_pool.h"

#include <gtest/gtest.h>

#include "hadal/core/step_plan.h"

namespace hadal {
namespace {

constexpr auto kNoContent = [](PageId) { return false; };

TEST(PagePool, GivesEveryPageButTheTrashPage) {
  PagePool pool(4);
  EXPECT_EQ(pool.unheld(), 3);
  for (int i = 0; i < 3; ++i) EXPECT_NE(pool.take(), kTrashPage);
  EXPECT_EQ(pool.unheld(), 0);
  pool.check_invariants(kNoContent);
  EXPECT_DEATH(pool.take(), "no unheld page");
}

TEST(PagePool, APageIsUnheldAfterItsLastRelease) {
  PagePool pool(2);
  const PageId page = pool.take();
  pool.hold(page);
  pool.release(page, false);
  EXPECT_EQ(pool.unheld(), 0);
  pool.release(page, false);
  EXPECT_EQ(pool.unheld(), 1);
  EXPECT_DEATH(pool.release(page, false), "not held");
}

TEST(PagePool, GivesEmptyPagesFirstThenTheLeastRecentlyReleased) {
  PagePool pool(4);
  const PageId a = pool.take(), b = pool.take(), c = pool.take();
  pool.release(b, true);
  pool.release(a, true);
  pool.release(c, false);
  pool.check_invariants([&](PageId page) { return page != c; });
  EXPECT_EQ(pool.take(), c);
  EXPECT_EQ(pool.take(), b);
  EXPECT_EQ(pool.take(), a);
}

TEST(PagePool, AnUnheldPageCanBeHeldAgain) {
  PagePool pool(3);
  const PageId a = pool.take(), b = pool.take();
  pool.release(a, true);
  pool.release(b, true);
  pool.hold(a);
  EXPECT_EQ(pool.unheld(), 1);
  EXPECT_EQ(pool.take(), b);
  pool.check_invariants(kNoContent);
}

TEST(PagePool, RefusesTheTrashPageAndAPoolWithoutPages) {
  PagePool pool(2);
  EXPECT_DEATH(pool.hold(kTrashPage), "trash page");
  EXPECT_DEATH(PagePool(1), "has none to give");
}

}  // namespace
}  // namespace hadal
