#include "ops/cpu/slot_table.h"

#include <algorithm>

#include "hadal/base/check.h"

namespace hadal::ops {

SlotTable::SlotTable(int32_t slots, int32_t pages_per_slot, int32_t pages_total)
    : pages_per_slot_(pages_per_slot),
      pages_total_(pages_total),
      slots_(static_cast<size_t>(slots)),
      page_table_(static_cast<size_t>(slots) * static_cast<size_t>(pages_per_slot),
                  raw(kTrashPage)) {
  for (Slot& slot : slots_) slot.sampling.stop_token_ids.reserve(kStopTokenIdsMax);
}

Slot& SlotTable::operator[](SlotId slot) {
  HADAL_CHECK(raw(slot) >= 0 && static_cast<size_t>(raw(slot)) < slots_.size(), "slot {} of {}",
              raw(slot), slots_.size());
  return slots_[static_cast<size_t>(raw(slot))];
}

void SlotTable::apply(const StepPlan& plan) {
  for (const SlotId slot : plan.closes) close(slot);
  for (const SlotOpen& opened : plan.opens) open(opened);
  for (const PageGrant& granted : plan.grants) grant(granted, plan.pages);
}

void SlotTable::close(SlotId id) {
  Slot& slot = (*this)[id];
  HADAL_CHECK(slot.open, "slot {} is closed twice", raw(id));
  slot.open = false;
  slot.pages = 0;
  std::fill_n(page_table_.begin() + int64_t{raw(id)} * pages_per_slot_, pages_per_slot_,
              raw(kTrashPage));
}

void SlotTable::open(const SlotOpen& opened) {
  Slot& slot = (*this)[opened.slot];
  HADAL_CHECK(!slot.open, "slot {} is opened while sequence {} has it", raw(opened.slot),
              raw(slot.incarnation));
  HADAL_CHECK(opened.tokens_left >= 1, "slot {} is opened with {} tokens left", raw(opened.slot),
              opened.tokens_left);
  slot.open = true;
  slot.ended = false;
  slot.incarnation = opened.incarnation;
  slot.committed = opened.computed_tokens;
  slot.last_token = kNoToken;
  slot.tokens_left = opened.tokens_left;
  slot.pages = 0;
  slot.drafts.fill(kNoToken);
  slot.sampling = opened.sampling;
}

void SlotTable::grant(const PageGrant& granted, std::span<const PageId> pages) {
  Slot& slot = (*this)[granted.slot];
  const int32_t count = granted.pages_end - granted.pages_begin;
  HADAL_CHECK(slot.open, "pages for closed slot {}", raw(granted.slot));
  HADAL_CHECK(granted.first_index == slot.pages, "slot {} has {} pages, more come at index {}",
              raw(granted.slot), slot.pages, granted.first_index);
  HADAL_CHECK(count >= 0 && slot.pages + count <= pages_per_slot_,
              "slot {} gets pages up to index {}, its table holds {}", raw(granted.slot),
              slot.pages + count, pages_per_slot_);
  for (int32_t i = 0; i < count; ++i) {
    const int32_t page = raw(pages[static_cast<size_t>(granted.pages_begin + i)]);
    HADAL_CHECK(page > raw(kTrashPage) && page < pages_total_, "page {} of {}", page, pages_total_);
    page_table_[static_cast<size_t>(raw(granted.slot)) * static_cast<size_t>(pages_per_slot_) +
                static_cast<size_t>(slot.pages + i)] = page;
  }
  slot.pages += count;
}

void SlotTable::check_granted(SlotId id, int32_t first, int32_t last) {
  const Slot& slot = (*this)[id];
  HADAL_CHECK(first >= 0 && last < slot.pages * kPageTokens,
              "slot {} (sequence {}) writes positions {} to {}, granted are {} pages", raw(id),
              raw(slot.incarnation), first, last, slot.pages);
}

}  // namespace hadal::ops
