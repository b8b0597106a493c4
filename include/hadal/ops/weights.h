// Weights in a backend's own layout. The model owns these handles and passes them back; only the
// backend that made one looks inside. Destroying the handle frees the memory.
#pragma once

#include <cstdint>
#include <memory>

namespace hadal::ops {

class Weight {
 public:
  virtual ~Weight() = default;
  virtual int64_t bytes() const = 0;  // resident, for the memory report
};

// The type says what the handle was prepared as; a backend casts back to its own class.
using WeightPtr = std::unique_ptr<Weight>;
struct LinearWeight {
  WeightPtr handle;
};  // prepare_linear
struct VectorWeight {
  WeightPtr handle;
};  // prepare_vector
struct KvUpWeight {
  WeightPtr handle;
};  // prepare_kv_up: W_UK and W_UV of kv_b_proj
struct RouterWeight {
  WeightPtr handle;
};  // prepare_router
struct ExpertsWeight {
  WeightPtr handle;
};  // prepare_experts: routed and shared
struct EmbeddingWeight {
  WeightPtr handle;
};  // prepare_embedding

}  // namespace hadal::ops
