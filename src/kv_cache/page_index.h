// Which page holds the content of which key: an open-addressing hash table over the pool's pages,
// sized at construction, so that a step never allocates.
//
// Invariant: a page has at most one key and a key at most one page.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "hadal/base/ids.h"
#include "hadal/kv_cache/page_key.h"

namespace hadal {

class PageIndex {
 public:
  explicit PageIndex(int32_t pages_total);

  std::optional<PageId> find(const PageKey& key) const;
  bool contains(PageId page) const { return indexed_[raw(page)]; }
  int32_t size() const { return size_; }

  // False, with no effect, if the key has a page already. REQUIRES: !contains(page).
  bool insert(const PageKey& key, PageId page);

  // REQUIRES: contains(page).
  void erase(PageId page);

  void check_invariants() const;

 private:
  size_t home(const PageKey& key) const;
  size_t locate(const PageKey& key) const;  // its cell, or the empty one where it belongs

  std::vector<PageKey> keys_;   // by page; meaningful where indexed_
  std::vector<bool> indexed_;   // by page
  std::vector<int32_t> cells_;  // page, or 0 (the trash page) for empty; a power of two of them
  int32_t size_ = 0;
};

}  // namespace hadal
