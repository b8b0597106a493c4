// A model folder on disk, opened and checked: config.json, generation_config.json, the quantisation
// declaration and the safetensors shards. It hands out typed views of tensors; the views point into
// the mapped shards and live as long as the Checkpoint.
//
// Everything in the folder is untrusted. open() checks all headers before any tensor is read; a
// lookup checks dtype, shape and scales of what it returns. Every refusal is one sentence naming
// file, tensor or key, what was found and what was wanted. The formats and the rules are in
// src/checkpoint/README.md.
//
// The files must not change while a Checkpoint lives: a shard truncated under a mapping ends the
// process with SIGBUS. check_unchanged() tells a modified file from a good one after loading.
//
// Threads: open() on one thread; lookups from any.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/base/status.h"
#include "hadal/checkpoint/weight_view.h"
#include "hadal/core/model_spec.h"

namespace hadal {

// Sampling defaults of generation_config.json; without that file, the vendor's recommendation.
struct GenerationDefaults {
  float temperature = 0.6F;
  float top_p = 0.95F;
  int top_k = 0;  // 0: off
};

class Checkpoint {
 public:
  // Reads every header of `folder`, no tensor data.
  static Result<Checkpoint> open(const std::filesystem::path& folder);

  ~Checkpoint();
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;

  const ModelSpec& spec() const;
  const GenerationDefaults& generation_defaults() const;
  // What the configuration files declare. The stored type of each tensor has the last word.
  WeightFormat declared_format() const;
  int64_t tensor_bytes() const;  // of all tensors in all shards

  bool contains(std::string_view tensor_name) const;
  std::vector<std::string_view> tensor_names() const;  // ascending

  // The linear weight `name` (without ".weight"), which must be [out_features, in_features], with
  // its scales wherever they lie. Its format follows from the stored type. Scales must be finite.
  Result<LinearView> linear(const std::string& name, int64_t out_features,
                            int64_t in_features) const;

  // The vector `name` (full tensor name), which must have `size` elements of `type`.
  Result<VectorView> vector(const std::string& name, VectorType type, int64_t size) const;

  // An error if a shard was modified since open(); called when everything has been read.
  Status check_unchanged() const;

 private:
  struct Impl;
  explicit Checkpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hadal
