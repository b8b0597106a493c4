// The KV pages of the process: who holds them, and which of them hold a prefix that another
// sequence can use. Metadata only; the content is the runner's.
//
// A page is *held* by the sequences whose table contains it. A full page is *published* once its
// content is final (all 64 tokens and the next one committed, and the step that wrote it applied);
// a published page stays in the prefix index, held or not, until its room is needed. Published
// pages are never written again, so sequences share them.
//
// Threads: one (the engine's loop).
//
// Invariants (check_invariants): (1) the trash page is never held, never published. (2) Every other
// page is held or in the unheld list, exactly once. (3) A page's reference count is the number of
// sequences whose table contains it; no table contains a page twice. (4) A published page and its
// key name each other. (5) Unheld pages without content are given before published ones, those in
// least recently released order; a sequence's later pages are released before its earlier ones.
// (6) A table's pages beyond its published part are held by that sequence alone, unless it found
// them in the index.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "hadal/base/ids.h"
#include "hadal/kv_cache/page_key.h"

namespace hadal {

// Number of pages that hold `positions` positions.
constexpr int32_t pages_for(int64_t positions) {
  return static_cast<int32_t>((positions + kPageTokens - 1) / kPageTokens);
}

// One sequence's page table. Made by its owner, changed by the KvCache only; released before it is
// destroyed.
class PageTable {
 public:
  // `salt` partitions the prefix index.
  explicit PageTable(std::string_view salt) : keys_(salt) {}

  std::span<const PageId> pages() const { return pages_; }

  // Room for a sequence of `positions`, so that growing to it does not allocate.
  void reserve(int64_t positions) {
    pages_.reserve(pages_for(positions));
    keys_.reserve(pages_for(positions));
  }

 private:
  friend class KvCache;
  std::vector<PageId> pages_;
  PageKeyChain keys_;
  int32_t published_ = 0;  // pages [0, published_) need no publishing (any more)
};

class KvCache {
 public:
  // REQUIRES: pages_total >= 2, the trash page included.
  KvCache(int32_t pages_total, bool prefix_cache);
  ~KvCache();

  int32_t pages_grantable() const;  // all but the trash page
  int32_t pages_unheld() const;     // could be granted now
  // Pages that would become unheld if this table alone were released.
  int32_t pages_held_alone(const PageTable& table) const;

  // Opens an empty table for a sequence that starts with `tokens`: finds the longest published
  // prefix, holds it, and holds new pages up to `positions`. All or nothing: empty, with no effect,
  // when the pages do not suffice. Returns the number of positions found: a multiple of
  // kPageTokens, less than tokens.size(). REQUIRES: the table is empty; positions >=
  // tokens.size() >= 1.
  std::optional<int32_t> try_open(PageTable& table, std::span<const TokenId> tokens,
                                  int64_t positions);

  // Grows the table to cover `positions`. All or nothing: false, with no effect, when the pages do
  // not suffice.
  bool try_extend(PageTable& table, int64_t positions);

  // Tells that positions [0, committed) of the sequence that starts with `tokens` are computed and
  // final: its full pages are published. REQUIRES: committed < tokens.size(), the next token.
  void publish(PageTable& table, std::span<const TokenId> tokens, int64_t committed);

  // Empties the table. Its published pages stay to be found.
  void release(PageTable& table);

  // Walks everything. `tables`: all tables that hold pages.
  void check_invariants(std::span<const PageTable* const> tables) const;

 private:
  PageId take_page();
  int32_t count_found(PageTable& table, std::span<const TokenId> tokens);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hadal
