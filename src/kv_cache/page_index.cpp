#include "kv_cache/page_index.h"

#include <bit>
#include <cstring>

#include "hadal/base/check.h"

namespace hadal {

PageIndex::PageIndex(int32_t pages_total)
    : keys_(pages_total),
      indexed_(pages_total),
      cells_(std::bit_ceil(2 * static_cast<size_t>(pages_total))) {}

// A digest's bits are uniform, so its first word is the hash.
size_t PageIndex::home(const PageKey& key) const {
  uint64_t word = 0;
  std::memcpy(&word, key.digest.data(), sizeof(word));
  return word & (cells_.size() - 1);
}

size_t PageIndex::locate(const PageKey& key) const {
  size_t cell = home(key);
  while (cells_[cell] != 0 && keys_[cells_[cell]] != key) cell = (cell + 1) & (cells_.size() - 1);
  return cell;
}

std::optional<PageId> PageIndex::find(const PageKey& key) const {
  const int32_t page = cells_[locate(key)];
  return page == 0 ? std::nullopt : std::optional(PageId{page});
}

bool PageIndex::insert(const PageKey& key, PageId page) {
  HADAL_CHECK(!contains(page), "page {} has a key", raw(page));
  const size_t cell = locate(key);
  if (cells_[cell] != 0) return false;
  cells_[cell] = raw(page);
  keys_[raw(page)] = key;
  indexed_[raw(page)] = true;
  ++size_;
  return true;
}

// Linear probing without tombstones: whatever was pushed past the freed cell moves back into it.
void PageIndex::erase(PageId page) {
  HADAL_CHECK(contains(page), "page {} has no key", raw(page));
  const size_t mask = cells_.size() - 1;
  size_t hole = locate(keys_[raw(page)]);
  HADAL_CHECK(cells_[hole] == raw(page), "page {} is not in its cell", raw(page));
  for (size_t cell = (hole + 1) & mask; cells_[cell] != 0; cell = (cell + 1) & mask) {
    const size_t distance_from_home = (cell - home(keys_[cells_[cell]])) & mask;
    if (distance_from_home < ((cell - hole) & mask)) continue;
    cells_[hole] = cells_[cell];
    hole = cell;
  }
  cells_[hole] = 0;
  indexed_[raw(page)] = false;
  --size_;
}

void PageIndex::check_invariants() const {
  int32_t found = 0;
  for (size_t page = 1; page < indexed_.size(); ++page) {
    if (!indexed_[page]) continue;
    ++found;
    HADAL_CHECK(cells_[locate(keys_[page])] == static_cast<int32_t>(page),
                "page {} is not found by its key", page);
  }
  int32_t filled = 0;
  for (const int32_t cell : cells_) filled += cell != 0 ? 1 : 0;
  HADAL_CHECK(found == size_ && filled == size_, "{} pages, {} cells, {} counted", found, filled,
              size_);
}

}  // namespace hadal
