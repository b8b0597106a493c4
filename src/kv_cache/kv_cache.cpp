#include "hadal/kv_cache/kv_cache.h"

#include <algorithm>
#include <set>

#include "hadal/base/check.h"
#include "hadal/core/step_plan.h"
#include "kv_cache/page_index.h"
#include "kv_cache/page_pool.h"

namespace hadal {

struct KvCache::State {
  int32_t pages_total;
  bool prefix_cache;
  PagePool pool;
  PageIndex index;
};

KvCache::KvCache(int32_t pages_total, bool prefix_cache)
    : state_(std::make_unique<State>(pages_total, prefix_cache, PagePool(pages_total),
                                     PageIndex(pages_total))) {}

KvCache::~KvCache() = default;

int32_t KvCache::pages_grantable() const {
  return state_->pages_total - 1;
}

int32_t KvCache::pages_unheld() const {
  return state_->pool.unheld();
}

int32_t KvCache::pages_held_alone(const PageTable& table) const {
  return static_cast<int32_t>(std::ranges::count_if(
      table.pages_, [&](PageId page) { return state_->pool.references(page) == 1; }));
}

// Giving away a page ends its published life.
PageId KvCache::take_page() {
  const PageId page = state_->pool.take();
  if (state_->index.contains(page)) state_->index.erase(page);
  return page;
}

// Leading pages of the sequence that the index has. At least one token stays to be computed,
// because a page's key needs the token after it.
int32_t KvCache::count_found(PageTable& table, std::span<const TokenId> tokens) {
  if (!state_->prefix_cache) return 0;
  table.keys_.extend(tokens);
  int32_t found = 0;
  for (const PageKey& key : table.keys_.keys()) {
    if (!state_->index.find(key)) break;
    ++found;
  }
  return found;
}

std::optional<int32_t> KvCache::try_open(PageTable& table, std::span<const TokenId> tokens,
                                         int64_t positions) {
  HADAL_CHECK(table.pages_.empty() && table.published_ == 0, "the table is open");
  HADAL_CHECK(!tokens.empty() && positions >= static_cast<int64_t>(tokens.size()),
              "{} positions for {} tokens", positions, tokens.size());
  const int32_t found = count_found(table, tokens);
  const auto keys = table.keys_.keys().first(found);
  const auto unheld = std::ranges::count_if(keys, [&](const PageKey& key) {
    return state_->pool.references(*state_->index.find(key)) == 0;
  });
  if (pages_for(positions) - found > pages_unheld() - unheld) return std::nullopt;

  // All found pages are held before the first new one is taken, or a new one could be one of them.
  for (const PageKey& key : keys) {
    const PageId page = *state_->index.find(key);
    state_->pool.hold(page);
    table.pages_.push_back(page);
  }
  table.published_ = found;
  HADAL_CHECK(try_extend(table, positions), "the pages were counted before");
  return found * kPageTokens;
}

bool KvCache::try_extend(PageTable& table, int64_t positions) {
  const int32_t missing = pages_for(positions) - static_cast<int32_t>(table.pages_.size());
  if (missing > pages_unheld()) return false;
  for (int32_t i = 0; i < missing; ++i) table.pages_.push_back(take_page());
  return true;
}

void KvCache::publish(PageTable& table, std::span<const TokenId> tokens, int64_t committed) {
  HADAL_CHECK(committed < static_cast<int64_t>(tokens.size()), "position {} has no next token",
              committed);
  const auto full = static_cast<int32_t>(committed / kPageTokens);
  if (!state_->prefix_cache || full <= table.published_) return;
  table.keys_.extend(tokens);
  for (; table.published_ < full; ++table.published_) {
    // Refused if another sequence computed the same content first: this copy stays private.
    state_->index.insert(table.keys_.keys()[table.published_], table.pages_[table.published_]);
  }
}

// Last page first: a page without the ones before it cannot be found, so it goes first.
void KvCache::release(PageTable& table) {
  for (; !table.pages_.empty(); table.pages_.pop_back()) {
    const PageId page = table.pages_.back();
    state_->pool.release(page, state_->index.contains(page));
  }
  table.published_ = 0;
}

void KvCache::check_invariants(std::span<const PageTable* const> tables) const {
  state_->pool.check_invariants([&](PageId page) { return state_->index.contains(page); });
  state_->index.check_invariants();
  HADAL_CHECK(!state_->index.contains(kTrashPage), "(1) the trash page is published");
  std::vector<int32_t> references(state_->pages_total);
  for (const PageTable* table : tables) {
    const std::set<PageId> distinct(table->pages_.begin(), table->pages_.end());
    HADAL_CHECK(distinct.size() == table->pages_.size(), "(3) a table contains a page twice");
    for (const PageId page : table->pages_) ++references[raw(page)];
    for (size_t i = table->published_; i < table->pages_.size(); ++i) {
      HADAL_CHECK(state_->pool.references(table->pages_[i]) == 1,
                  "(6) unpublished page {} is shared", raw(table->pages_[i]));
    }
  }
  for (int32_t page = 0; page < state_->pages_total; ++page) {
    HADAL_CHECK(references[page] == state_->pool.references(PageId{page}),
                "(3) page {} is in {} tables and has {} references", page, references[page],
                state_->pool.references(PageId{page}));
  }
}

}  // namespace hadal
