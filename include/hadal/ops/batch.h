// What one forward pass runs over. All arrays are in the backend's memory (device memory on a GPU):
// the host knows the counts, from the plan, and never the values.
#pragma once

#include <cstdint>

namespace hadal::ops {

// T tokens. The tokens of one row (one sequence's chunk or decode row) are consecutive and have
// consecutive positions; row r owns tokens [row_starts[r], row_starts[r + 1]).
struct TokenBatch {
  int32_t rows = 0;
  int32_t tokens = 0;
  const int32_t* ids = nullptr;        // [tokens]
  const int32_t* positions = nullptr;  // [tokens] absolute; also the KV position that is written
  const int32_t* slots = nullptr;  // [tokens] page-table row; -1: inert, writes to the trash page
  const int32_t* row_starts = nullptr;  // [rows + 1]
};

// The paged KV cache of all layers, and the page tables of all slots.
struct PagedKvCache {
  void* pages = nullptr;  // backend's own layout; one buffer a layer inside
  const int32_t* page_table =
      nullptr;  // [slots, pages_per_slot]; kTrashPage where nothing is granted
  int32_t pages_per_slot = 0;
  int32_t pages_total = 0;
  int32_t layers = 0;  // num_hidden_layers, + 1 with MTP
};

}  // namespace hadal::ops
