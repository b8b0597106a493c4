// A token's numbers depend on its own sequence only, bit for bit: not on how the prompt was cut,
// nor on the rows beside it (DESIGN: determinism). On every instruction set of this machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <numeric>
#include <vector>

#include "hadal/ops/cpu/cpu_ops.h"
#include "model/golden_checks.h"
#include "support/sequence_rig.h"

namespace hadal {
namespace {

class Determinism : public testing::TestWithParam<ops::CpuIsa> {
 protected:
  std::unique_ptr<ops::Ops> ops_ =
      std::move(ops::make_cpu_ops({.threads = 2, .isa = GetParam()})).value();
  Model model_ = test::load_tiny_r1("fp8", *ops_);
};

std::vector<TokenId> some_tokens(int count, int seed) {
  std::vector<TokenId> ids;
  for (int i = 0; i < count; ++i) ids.push_back(3 + (i * 37 + seed * 101) % 1900);
  return ids;
}

// Hidden states, then the MTP layer's states, of a prompt computed in chunks.
std::vector<float> in_chunks(const Model& model, std::span<const TokenId> ids, size_t chunk) {
  test::SequenceRig rig(model, 256);
  std::vector<float> states;
  std::vector<float> drafts;
  for (size_t at = 0; at < ids.size(); at += chunk) {
    const auto part = ids.subspan(at, std::min(chunk, ids.size() - at));
    const std::vector<float> hidden = rig.forward(part, static_cast<int>(at));
    const test::SequenceRig::MtpRows rows = rig.mtp(part, static_cast<int>(at), hidden);
    states.insert(states.end(), hidden.begin(), hidden.end());
    drafts.insert(drafts.end(), rows.z.begin(), rows.z.end());
  }
  states.insert(states.end(), drafts.begin(), drafts.end());
  return states;
}

TEST_P(Determinism, ChunksDoNotMatter) {
  const std::vector<TokenId> ids = some_tokens(150, 1);
  const std::vector<float> whole = in_chunks(model_, ids, ids.size());
  for (const size_t chunk : {16, 64}) EXPECT_EQ(in_chunks(model_, ids, chunk), whole) << chunk;
  EXPECT_EQ(in_chunks(model_, std::span(ids).first(40), 1),
            in_chunks(model_, std::span(ids).first(40), 40));
}

// One forward pass over several sequences, one a slot and page, all from position 0.
std::vector<std::vector<float>> together(const Model& model,
                                         const std::vector<std::vector<TokenId>>& rows) {
  const auto slots = static_cast<int32_t>(rows.size());
  std::vector<int32_t> ids, positions, token_slots, row_starts = {0};
  for (int32_t slot = 0; slot < slots; ++slot) {
    for (size_t i = 0; i < rows[slot].size(); ++i) {
      ids.push_back(rows[slot][i]);
      positions.push_back(static_cast<int32_t>(i));
      token_slots.push_back(slot);
    }
    row_starts.push_back(static_cast<int32_t>(ids.size()));
  }
  std::vector<int32_t> page_table(rows.size());
  std::iota(page_table.begin(), page_table.end(), 1);
  std::vector<std::byte> pages(static_cast<size_t>((slots + 1) * model.kv_layers() *
                                                   model.ops().kv_page_bytes(model.spec())),
                               std::byte{0xFF});
  const auto tokens = static_cast<int32_t>(ids.size());
  const int64_t width = model.spec().hidden_size;
  std::vector<float> hidden(static_cast<size_t>(tokens * width));
  const auto context = model.ops().make_context(model.forward_scratch_bytes(tokens));
  model.forward(*context, {hidden.data(), ops::DType::kF32, tokens, width},
                {.rows = slots,
                 .tokens = tokens,
                 .ids = ids.data(),
                 .positions = positions.data(),
                 .slots = token_slots.data(),
                 .row_starts = row_starts.data()},
                {.pages = pages.data(),
                 .page_table = page_table.data(),
                 .pages_per_slot = 1,
                 .pages_total = slots + 1,
                 .layers = model.kv_layers()});
  std::vector<std::vector<float>> result;
  for (int32_t slot = 0; slot < slots; ++slot) {
    result.emplace_back(hidden.begin() + row_starts[slot] * width,
                        hidden.begin() + row_starts[slot + 1] * width);
  }
  return result;
}

TEST_P(Determinism, RowsBesideDoNotMatter) {
  std::vector<std::vector<TokenId>> rows;
  for (int i = 0; i < 16; ++i) rows.push_back(some_tokens(1 + i * 3, i));
  const std::vector<std::vector<float>> among = together(model_, rows);
  for (const size_t i : {0, 5, 15}) EXPECT_EQ(together(model_, {rows[i]}).at(0), among[i]) << i;
  std::reverse(rows.begin(), rows.end());
  EXPECT_EQ(together(model_, rows).at(15), among[0]) << "nor does the order";
}

INSTANTIATE_TEST_SUITE_P(All, Determinism, testing::ValuesIn(ops::available_cpu_isas()),
                         [](const testing::TestParamInfo<ops::CpuIsa>& isa) {
                           return std::string(ops::cpu_isa_name(isa.param));
                         });

}  // namespace
}  // namespace hadal
