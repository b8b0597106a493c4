// The step protocol's data: what the scheduler tells a runner (StepPlan) and what comes back
// (StepResult).
//
// Truth about a running sequence (committed length, last token, drafts, budget, stop ids, noise
// key, page table) lives in the runner's device state, one *slot* a sequence, and is advanced by
// the step itself. A plan therefore carries the list of rows and otherwise only deltas; accepted
// counts never travel to the host before the next step.
//
// Terms. committed length n: positions [0, n) have target KV. last token: the token at position n,
// known but not yet computed. Decode row: the 1 + K query tokens [last, d1 … dK] at positions n … n
// + K, always all of them. Prefill row: a chunk of known tokens; a *final* chunk ends with the last
// known token and samples.
//
// Threads: a plan is written by the engine's loop thread before submit() and is not written again
// until its result has been applied (invariant P1); runners read it in between.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "hadal/base/ids.h"
#include "hadal/core/limits.h"
#include "hadal/core/sampling_params.h"

namespace hadal {

// Every page table points here where nothing is granted, and finished or inert rows write here.
// Never granted.
inline constexpr PageId kTrashPage{0};

// Opens a slot: its state is reset to this. A re-opened (preempted) sequence passes prompt plus
// output so far as known tokens, a smaller budget, and the same prompt_tokens boundary.
struct SlotOpen {
  SlotId slot{};
  Incarnation incarnation{};
  int32_t prompt_tokens = 0;  // positions below this are prompt
  int32_t computed_tokens =
      0;  // positions already in granted pages (prefix hit); the first chunk starts here
  int32_t tokens_left = 0;  // output tokens it may still produce, >= 1
  SamplingParams sampling;
};

// Pages appended to a slot's page table from table index `first_index` on.
struct PageGrant {
  SlotId slot{};
  int32_t first_index = 0;
  int32_t pages_begin = 0;  // range of StepPlan::pages
  int32_t pages_end = 0;
};

enum class RowKind : uint8_t { kPrefill, kDecode };

struct PlanRow {
  RowKind kind = RowKind::kDecode;
  SlotId slot{};
  Incarnation incarnation{};
  // Prefill only:
  int32_t first_position = 0;
  int32_t tokens_begin = 0;  // range of StepPlan::tokens, at least one token
  int32_t tokens_end = 0;
  TokenId look_ahead = kNoToken;  // the known token after the chunk; kNoToken: final chunk, samples

  bool samples() const { return kind == RowKind::kDecode || look_ahead == kNoToken; }
};

// Order of application by a runner: closes, opens, grants, rows.
//
// Invariants: (P1) above. (P2) a slot has at most one row. (P3) every row's slot is open with the
// row's incarnation. (P4) every position the step may write, drafts included, lies in granted
// pages. (P5) all decode rows have 1 + drafts query tokens.
struct StepPlan {
  uint64_t step = 0;   // 1, 2, 3 … in order of submission
  int32_t drafts = 0;  // K of this step: verified by decode rows, and drafted for the next step
  std::vector<SlotId> closes;
  std::vector<SlotOpen> opens;
  std::vector<PageGrant> grants;
  std::vector<PageId> pages;
  std::vector<PlanRow> rows;
  std::vector<TokenId> tokens;

  int query_tokens() const;  // T: of all rows
  int sampled_rows() const;  // rows that sample (and draft)
  int logit_rows() const;    // S: query tokens whose logits are needed
};

// Why the device ended a row. The host may still find an earlier stop string.
enum class RowEnd : uint8_t { kNone, kEos, kStopToken, kLength, kNotFinite };

struct RowResult {
  Incarnation incarnation{};
  int32_t count = 0;  // tokens emitted, 0 … 1 + K; 0 for a non-final chunk and for an inert row
  int32_t proposed = 0;  // real drafts that were verified (sentinels are none)
  // Emitted tokens that were drafts: count - 1, or count when the row's last token, the one that
  // ended it, was an accepted draft too.
  int32_t accepted = 0;
  RowEnd end = RowEnd::kNone;
  std::array<TokenId, kDraftsMax + 1> tokens{};
};

// Rows are in the order of the plan's rows.
struct StepResult {
  uint64_t step = 0;
  std::vector<RowResult> rows;
};

}  // namespace hadal
