// The forward pass of a DeepSeek-V3-architecture model, written once over ops::Ops.
//
// Shapes: T tokens of a batch, H hidden_size, S rows whose logits are wanted, V vocab_size. All
// activations are in the backend's activation type; logits are f32.
//
// "Layer 61" of the documents is spec().mtp_layer(): the MTP layer writes its cache entries there,
// in the same pages as the others.
//
// Threads: load() on one thread. The forward functions do not change the model; one thread at a
// time may use one ExecContext.
#pragma once

#include <cstdint>
#include <memory>

#include "hadal/base/status.h"
#include "hadal/checkpoint/checkpoint.h"
#include "hadal/core/model_spec.h"
#include "hadal/ops/ops.h"

namespace hadal {

struct ModelOptions {
  bool mtp = false;  // load the MTP layer: the process speculates
  int64_t positions_max =
      0;  // positions that rotary frequencies must cover, chained drafts included
};

class Model {
 public:
  // Binds every weight of the architecture to its checkpoint tensor and has `ops` prepare it. The
  // checkpoint's files may be closed afterwards; `ops` must outlive the model. Refuses a checkpoint
  // that lacks a tensor, or options.mtp where there is no MTP layer. Tensors that the architecture
  // does not know are reported in the log, and ignored.
  static Result<Model> load(const Checkpoint& checkpoint, ops::Ops& ops,
                            const ModelOptions& options);
  ~Model();
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;

  const ModelSpec& spec() const;
  ops::Ops& ops() const;
  bool has_mtp() const;
  int kv_layers() const;         // num_hidden_layers, + 1 with the MTP layer
  int64_t weight_bytes() const;  // resident in the backend

  // hidden [T, H] = the hidden state after the final norm, what the head and the MTP layer receive.
  // Writes the cache of layers 0 … num_hidden_layers - 1 at the batch's positions.
  void forward(ops::ExecContext& ctx, ops::TensorView hidden, const ops::TokenBatch& batch,
               const ops::PagedKvCache& cache) const;

  // logits [S, V] f32 = lm_head of hidden [S, H].
  void logits(ops::ExecContext& ctx, ops::TensorView logits, ops::TensorView hidden) const;

  // The MTP layer, one row a position: hidden [T, H] is the state of that position (of the target,
  // or of the draft before), batch.ids hold its *next* token. z [T, H] = the state after
  // shared_head.norm, whose logits draft the token after the next; v [T, H] = the same before that
  // norm. Writes the cache of mtp_layer(). REQUIRES: has_mtp(); z, v and hidden do not overlap.
  void mtp(ops::ExecContext& ctx, ops::TensorView z, ops::TensorView v, ops::TensorView hidden,
           const ops::TokenBatch& batch, const ops::PagedKvCache& cache) const;

  // Scratch that the calls need for `tokens` tokens, beside the tensors passed in.
  int64_t forward_scratch_bytes(int64_t tokens) const;
  int64_t mtp_scratch_bytes(int64_t tokens) const;

 private:
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hadal
