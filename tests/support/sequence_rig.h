// Drives a Model by hand over one sequence: no StepState, no plans. The cache starts as NaN, so
// that a read of what was never written shows.
// REQUIRES: a backend in host memory with f32 activations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "hadal/base/check.h"
#include "hadal/base/ids.h"
#include "hadal/core/limits.h"
#include "hadal/model/model.h"

namespace hadal::test {

class SequenceRig {
 public:
  SequenceRig(const Model& model, int positions_max)
      : model_(model),
        pages_per_slot_((positions_max + kPageTokens - 1) / kPageTokens),
        page_table_(pages_per_slot_),
        pages_(static_cast<size_t>((pages_per_slot_ + 1) * model.kv_layers() *
                                   model.ops().kv_page_bytes(model.spec())),
               std::byte{0xFF}),
        context_(model.ops().make_context(
            std::max(model.forward_scratch_bytes(positions_max),
                     model.has_mtp() ? model.mtp_scratch_bytes(positions_max) : 0))) {
    HADAL_CHECK(model.ops().activation_dtype() == ops::DType::kF32, "wanted f32 activations");
    // Pages in descending order: the table, not the page's number, says where a position lies.
    std::iota(page_table_.rbegin(), page_table_.rend(), 1);
  }

  // Hidden states [n, H] of `ids` at positions first_position …
  std::vector<float> forward(std::span<const TokenId> ids, int first_position) {
    std::vector<float> hidden = floats(ids.size(), hidden_size());
    model_.forward(*context_, view(hidden, hidden_size()), batch(ids, first_position), cache());
    return hidden;
  }

  // Logits [n, V] of hidden states [n, H].
  std::vector<float> logits(std::span<const float> hidden) {
    const size_t rows = hidden.size() / static_cast<size_t>(hidden_size());
    std::vector<float> input(hidden.begin(), hidden.end());
    std::vector<float> out = floats(rows, model_.spec().vocab_size);
    model_.logits(*context_, view(out, model_.spec().vocab_size), view(input, hidden_size()));
    return out;
  }

  struct MtpRows {
    std::vector<float> z;
    std::vector<float> v;
  };
  // MTP rows at positions first_position …, each with its hidden state and its next token.
  MtpRows mtp(std::span<const TokenId> next_ids, int first_position,
              std::span<const float> hidden) {
    std::vector<float> input(hidden.begin(), hidden.end());
    MtpRows rows{floats(next_ids.size(), hidden_size()), floats(next_ids.size(), hidden_size())};
    model_.mtp(*context_, view(rows.z, hidden_size()), view(rows.v, hidden_size()),
               view(input, hidden_size()), batch(next_ids, first_position), cache());
    return rows;
  }

  ops::PagedKvCache cache() {
    return {.pages = pages_.data(),
            .page_table = page_table_.data(),
            .pages_per_slot = pages_per_slot_,
            .pages_total = pages_per_slot_ + 1,
            .layers = model_.kv_layers()};
  }
  int hidden_size() const { return model_.spec().hidden_size; }
  const Model& model() const { return model_; }

 private:
  static std::vector<float> floats(size_t rows, int cols) {
    return std::vector<float>(rows * static_cast<size_t>(cols));
  }
  static ops::TensorView view(std::vector<float>& values, int cols) {
    return {values.data(), ops::DType::kF32, static_cast<int64_t>(values.size()) / cols, cols};
  }
  ops::TokenBatch batch(std::span<const TokenId> ids, int first_position) {
    const auto count = static_cast<int32_t>(ids.size());
    ids_.assign(ids.begin(), ids.end());
    positions_.resize(ids.size());
    std::iota(positions_.begin(), positions_.end(), first_position);
    slots_.assign(ids.size(), 0);
    row_starts_ = {0, count};
    return {.rows = 1,
            .tokens = count,
            .ids = ids_.data(),
            .positions = positions_.data(),
            .slots = slots_.data(),
            .row_starts = row_starts_.data()};
  }

  const Model& model_;
  int32_t pages_per_slot_;
  std::vector<int32_t> page_table_;
  std::vector<std::byte> pages_;
  std::unique_ptr<ops::ExecContext> context_;
  std::vector<int32_t> ids_;
  std::vector<int32_t> positions_;
  std::vector<int32_t> slots_;
  std::vector<int32_t> row_starts_;
};

}  // namespace hadal::test
