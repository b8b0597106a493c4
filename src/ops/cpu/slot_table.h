// The state of every slot, and the page tables: what stays between steps.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "hadal/core/step_plan.h"

namespace hadal::ops {

// One running sequence. Terms as in step_plan.h.
struct Slot {
  bool open = false;
  bool ended = false;  // on the device; inert until it is closed
  Incarnation incarnation{};
  int32_t committed = 0;          // n: positions [0, n) have target KV
  TokenId last_token = kNoToken;  // the token at position n, once a final chunk has sampled it
  int32_t tokens_left = 0;
  int32_t pages = 0;                         // granted entries of its page table, from index 0 on
  std::array<TokenId, kDraftsMax> drafts{};  // kNoToken where there is none
  SamplingParams sampling;
};

class SlotTable {
 public:
  SlotTable(int32_t slots, int32_t pages_per_slot, int32_t pages_total);

  // Closes, opens and grants of a plan, in this order.
  void apply(const StepPlan& plan);

  Slot& operator[](SlotId slot);
  // [slots, pages_per_slot]; kTrashPage where nothing is granted.
  const int32_t* page_table() const { return page_table_.data(); }

  // Aborts if positions [first, last] of the slot are not all in granted pages.
  void check_granted(SlotId slot, int32_t first, int32_t last);

 private:
  void close(SlotId slot);
  void open(const SlotOpen& open);
  void grant(const PageGrant& grant, std::span<const PageId> pages);

  int32_t pages_per_slot_;
  int32_t pages_total_;
  std::vector<Slot> slots_;
  std::vector<int32_t> page_table_;
};

}  // namespace hadal::ops
