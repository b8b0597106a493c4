// Strong ids. Two integers that could be swapped by mistake get two types.
#pragma once

#include <cstdint>
#include <type_traits>

namespace hadal {

using TokenId = int32_t;                 // an index into the vocabulary
inline constexpr TokenId kNoToken = -1;  // a missing draft (sentinel), or no look-ahead

// One *sequence* (a request with n choices has n), from admission to its end; never reused in a
// process. A preempted sequence that re-enters gets a new one, so that a late result cannot reach a
// new life.
enum class Incarnation : uint64_t {};

// A sequence as the engine's clients know it: unchanged by preemption, never reused in a process.
enum class RequestId : uint64_t {};

// Index of a running sequence's state on the device, 0 .. max_num_seqs - 1. Reused.
enum class SlotId : int32_t {};

// Index of a KV-cache page of kPageTokens tokens, all layers. Page 0 is the trash page (see
// step_plan.h).
enum class PageId : int32_t {};

template <typename Id>
constexpr auto raw(Id id) {
  return static_cast<std::underlying_type_t<Id>>(id);
}

}  // namespace hadal
