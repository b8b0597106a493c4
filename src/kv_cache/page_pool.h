// Who holds which page: reference counts, and the unheld pages in the order in which they are given
// away.
//
// Invariants: (1) page 0, the trash page, is never held and never given. (2) Every other page is
// either held (references > 0) or in the unheld list exactly once. (3) In the unheld list, pages
// without content come first, then pages with content, the least recently released first.
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/base/check.h"
#include "hadal/base/ids.h"

namespace hadal {

class PagePool {
 public:
  // REQUIRES: pages_total >= 2, the trash page included.
  explicit PagePool(int32_t pages_total);

  int32_t unheld() const { return unheld_; }
  int32_t references(PageId page) const { return references_[raw(page)]; }

  // The first of the unheld list, now held once. REQUIRES: unheld() > 0.
  PageId take();

  // Holds a page once more, or an unheld one for the first time: it leaves the unheld list.
  void hold(PageId page);

  // Undoes one take() or hold(). After the last one the page is unheld: behind all others if its
  // content is worth keeping, before all others if not. REQUIRES: held.
  void release(PageId page, bool has_content);

  // Walks the whole pool; `has_content(page)` as the caller knows it.
  template <typename HasContent>
  void check_invariants(HasContent has_content) const;

 private:
  struct Link {
    int32_t previous = 0;
    int32_t next = 0;
  };

  void insert_after(int32_t place, int32_t page);
  void remove(int32_t page);
  void check_structure() const;

  std::vector<int32_t> references_;  // by page
  std::vector<Link> links_;  // by page: a ring through page 0, which is both its head and its tail
  int32_t unheld_ = 0;
};

template <typename HasContent>
void PagePool::check_invariants(HasContent has_content) const {
  check_structure();
  bool content_seen = false;
  for (int32_t page = links_[0].next; page != 0; page = links_[page].next) {
    HADAL_CHECK(has_content(PageId{page}) || !content_seen,
                "(3) empty page {} behind a page with content", page);
    content_seen = content_seen || has_content(PageId{page});
  }
}

}  // namespace hadal
