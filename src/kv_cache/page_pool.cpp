#include "kv_cache/page_pool.h"

#include "hadal/core/step_plan.h"

namespace hadal {

PagePool::PagePool(int32_t pages_total) : references_(pages_total), links_(pages_total) {
  static_assert(raw(kTrashPage) == 0, "the ring's head is the page that is never given");
  HADAL_CHECK(pages_total >= 2, "a pool of {} pages has none to give", pages_total);
  for (int32_t page = 1; page < pages_total; ++page) insert_after(links_[0].previous, page);
}

PageId PagePool::take() {
  HADAL_CHECK(unheld_ > 0, "no unheld page");
  const PageId page{links_[0].next};
  hold(page);
  return page;
}

void PagePool::hold(PageId page) {
  HADAL_CHECK(page != kTrashPage, "the trash page is never held");
  if (references_[raw(page)]++ == 0) remove(raw(page));
}

void PagePool::release(PageId page, bool has_content) {
  HADAL_CHECK(references_[raw(page)] > 0, "page {} is not held", raw(page));
  if (--references_[raw(page)] > 0) return;
  insert_after(has_content ? links_[0].previous : 0, raw(page));
}

void PagePool::insert_after(int32_t place, int32_t page) {
  const int32_t next = links_[place].next;
  links_[page] = {.previous = place, .next = next};
  links_[place].next = page;
  links_[next].previous = page;
  ++unheld_;
}

void PagePool::remove(int32_t page) {
  links_[links_[page].previous].next = links_[page].next;
  links_[links_[page].next].previous = links_[page].previous;
  --unheld_;
}

void PagePool::check_structure() const {
  HADAL_CHECK(references_[0] == 0, "(1) the trash page is held");
  int32_t listed = 0;
  for (int32_t page = links_[0].next; page != 0; page = links_[page].next) {
    HADAL_CHECK(references_[page] == 0, "(2) page {} is held and unheld", page);
    HADAL_CHECK(++listed < static_cast<int32_t>(links_.size()), "(2) the list repeats a page");
  }
  int32_t held = 0;
  for (const int32_t references : references_) held += references > 0 ? 1 : 0;
  HADAL_CHECK(listed == unheld_, "(2) {} listed, {} counted", listed, unheld_);
  HADAL_CHECK(held + listed + 1 == static_cast<int32_t>(links_.size()),
              "(2) {} held + {} unheld + the trash page of {}", held, listed, links_.size());
}

}  // namespace hadal
