#include "kernels/moe/moe.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <vector>

#include "kernels/moe/moe_fixture.h"

namespace hadal::kernels::moe {
namespace {

// Half a unit of the last place of e4m3 at the start of a binade. No row can be further off; with
// few rows, one large value near there decides.
constexpr double kHiddenRelativeErrorMax = 1.0 / 16;
constexpr double kOutRelativeErrorMax = 3e-3;
constexpr Shape kSmall{16, 4, 512, 256};
constexpr Shape kRankOfEight{8, 8, 7168, 256};  // one TP8 rank's widths, few experts
constexpr Shape kWide{8, 2, 1024, 1024};        // several channel blocks, as with TP2

std::size_t index(int i) {
  return static_cast<std::size_t>(i);
}

// Every (token, expert) pair has one row; rows are sorted by expert and token; tiles cover them.
void expect_plan_right(const LayerUnderTest& layer) {
  std::map<int, std::vector<RowInfo>> wanted;
  for (int token = 0; token < layer.tokens(); ++token) {
    for (const auto& choice : layer.choices(token))
      wanted[choice.expert].push_back({token, choice.weight});
  }
  const auto counts = layer.counts();
  const auto tiles = layer.tiles();
  const auto rows = layer.rows();
  int tile = 0;
  int row = 0;
  for (const auto& [expert, infos] : wanted) {
    for (std::size_t i = 0; i < infos.size(); ++i) {
      ASSERT_EQ(rows[index(row) + i].token, infos[i].token) << "expert " << expert;
      ASSERT_EQ(rows[index(row) + i].weight, infos[i].weight);
    }
    const int count = static_cast<int>(infos.size());
    for (int begin = 0; begin < count; begin += layer.row_tile(), ++tile) {
      ASSERT_EQ(tiles[index(tile)].expert, expert);
      ASSERT_EQ(tiles[index(tile)].row_begin, row + begin);
      ASSERT_EQ(tiles[index(tile)].rows, std::min(layer.row_tile(), count - begin));
    }
    for (int i = count; i < round_up(count, 8); ++i) ASSERT_LT(rows[index(row + i)].token, 0);
    row += round_up(count, 8);
  }
  EXPECT_EQ(counts[0], tile);
  EXPECT_EQ(counts[1], row);
}

double hidden_value(const LayerUnderTest& layer, const std::vector<std::uint8_t>& data,
                    const std::vector<float>& scale, int row, int channel) {
  const std::size_t group = index(channel / kQuantBlock) * index(layer.hidden().rows_capacity);
  return static_cast<double>(
             reference::fp8_to_float(data[hidden_offset(layer.hidden(), row, channel)])) *
         static_cast<double>(scale[group + index(row)]);
}

// h against the twin, every `step`th channel of each row.
void expect_hidden_right(const LayerUnderTest& layer, int step) {
  const auto data = layer.hidden_data();
  const auto scale = layer.hidden_scale();
  const auto token_rows = layer.token_rows();
  test::Comparison comparison;
  for (int token = 0; token < layer.tokens(); ++token) {
    const auto choices = layer.choices(token);
    for (std::size_t j = 0; j < choices.size(); ++j) {
      const int row = token_rows[index(token * layer.shape().rows_per_token()) + j];
      for (int c = token % step; c < layer.shape().intermediate; c += step) {
        const auto wanted =
            reference::swiglu(layer.x(), token, layer.gate_up_weight(choices[j].expert), c);
        const std::size_t group = index(c / kQuantBlock) * index(layer.hidden().rows_capacity);
        const double factor = static_cast<double>(scale[group + index(row)]);
        comparison.add(hidden_value(layer, data, scale, row, c), wanted.value,
                       wanted.bound() + reference::fp8_rounding_bound(wanted.value, factor) * 1.01);
      }
    }
  }
  comparison.expect_close(kHiddenRelativeErrorMax);
}

// Every group of 128 uses its whole range: its largest value is the largest e4m3.
void expect_scales_tight(const LayerUnderTest& layer) {
  const auto data = layer.hidden_data();
  const auto rows = layer.rows();
  const int row_count = layer.counts()[1];
  for (int row = 0; row < row_count; ++row) {
    if (rows[index(row)].token < 0) continue;
    for (int block = 0; block < layer.shape().intermediate / kQuantBlock; ++block) {
      float largest = 0;
      for (int c = 0; c < kQuantBlock; ++c) {
        largest = std::max(largest,
                           std::fabs(reference::fp8_to_float(
                               data[hidden_offset(layer.hidden(), row, block * kQuantBlock + c)])));
      }
      ASSERT_EQ(largest, 448.0f) << "row " << row << ", block " << block;
    }
  }
}

// out against the twin on the h that the device holds, every `step`th column.
void expect_out_right(const LayerUnderTest& layer, const std::vector<__nv_bfloat16>& out,
                      int step) {
  const auto data = layer.hidden_data();
  const auto scale = layer.hidden_scale();
  const auto token_rows = layer.token_rows();
  const Shape& shape = layer.shape();
  test::Comparison comparison;
  for (int token = 0; token < layer.tokens(); ++token) {
    const auto choices = layer.choices(token);
    reference::Fp8Matrix h{
        static_cast<int>(choices.size()), shape.intermediate, shape.rows_per_token(), {}, {}};
    h.scale.resize(index(shape.intermediate / kQuantBlock * h.stride));
    for (int j = 0; j < h.rows; ++j) {
      const int row = token_rows[index(token * shape.rows_per_token() + j)];
      for (int c = 0; c < shape.intermediate; ++c) {
        h.data.push_back(data[hidden_offset(layer.hidden(), row, c)]);
        h.scale[index(c / kQuantBlock * h.stride + j)] =
            scale[index(c / kQuantBlock) * index(layer.hidden().rows_capacity) + index(row)];
      }
    }
    for (int column = token % step; column < shape.hidden; column += step) {
      reference::Sum wanted;
      for (int j = 0; j < h.rows; ++j) {
        const auto& choice = choices[index(j)];
        const auto product = reference::dot(h, j, layer.down_weight(choice.expert), column);
        wanted.value += static_cast<double>(choice.weight) * product.value;
        wanted.magnitude += static_cast<double>(choice.weight) * product.magnitude;
      }
      comparison.add(test::to_double(out[index(token) * index(shape.hidden) + index(column)]),
                     wanted.value,
                     std::fabs(wanted.value) * reference::kBf16Tolerance + wanted.bound());
    }
  }
  comparison.expect_close(kOutRelativeErrorMax);
}

void expect_layer_right(LayerUnderTest& layer, Which which, int split_stages, int step) {
  layer.poison_hidden();
  layer.plan();
  expect_plan_right(layer);
  layer.gate_up(which, split_stages);
  expect_hidden_right(layer, step);
  expect_scales_tight(layer);
  EXPECT_TRUE(layer.tickets_are_zero());
  expect_out_right(layer, layer.down(which), step);
}

TEST(Moe, BothKernelsMatchTheTwinAtTheEdgesOfTokens) {
  for (const int tokens :
       {0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, kDownSm90TokensMax, kDownSm90TokensMax + 1}) {
    for (const Choosing choosing :
         {Choosing::kUniform, Choosing::kOneHotExpert, Choosing::kHalfInactive}) {
      SCOPED_TRACE(testing::Message()
                   << tokens << " tokens, choosing " << static_cast<int>(choosing));
      LayerUnderTest layer(kSmall, tokens, choosing);
      expect_layer_right(layer, Which::kSm90, 0, tokens > 64 ? 13 : 5);
      expect_layer_right(layer, Which::kSm90, 2, tokens > 64 ? 13 : 5);
      expect_layer_right(layer, Which::kGeneric, 0, tokens > 64 ? 13 : 5);
    }
  }
}

TEST(Moe, MatchesTheTwinAtTheModelsWidths) {
  for (const int tokens : {1, 4, 20}) {
    SCOPED_TRACE(tokens);
    LayerUnderTest layer(kRankOfEight, tokens, Choosing::kUniform);
    expect_layer_right(layer, Which::kSm90, 0, 11);
    expect_layer_right(layer, Which::kSm90, 8, 11);
    expect_layer_right(layer, Which::kGeneric, 0, 37);
  }
}

TEST(Moe, MatchesTheTwinWithSeveralChannelBlocks) {
  LayerUnderTest layer(kWide, 40, Choosing::kUniform);
  expect_layer_right(layer, Which::kSm90, 0, 9);
  expect_layer_right(layer, Which::kGeneric, 0, 9);
}

TEST(Moe, SameInputGivesSameBits) {
  for (const int tokens : {1, 33}) {
    LayerUnderTest layer(kRankOfEight, tokens, Choosing::kUniform);
    layer.plan();
    layer.gate_up(Which::kSm90, 0);
    const auto hidden = layer.hidden_data();
    const auto out = layer.down(Which::kSm90);
    for (int i = 0; i < 5; ++i) {
      layer.gate_up(Which::kSm90, 0);
      EXPECT_TRUE(test::same_bits(hidden, layer.hidden_data()));
      EXPECT_TRUE(test::same_bits(out, layer.down(Which::kSm90)));
    }
  }
}

// h of one token's row for one expert.
std::vector<std::uint8_t> row_bytes(const LayerUnderTest& layer, int token, int choice) {
  const auto data = layer.hidden_data();
  const int row = layer.token_rows()[index(token * layer.shape().rows_per_token() + choice)];
  std::vector<std::uint8_t> bytes;
  for (int c = 0; c < layer.shape().intermediate; ++c) {
    bytes.push_back(data[hidden_offset(layer.hidden(), row, c)]);
  }
  return bytes;
}

// The fixture draws x and the routing from one seed plus the number of tokens, so two layers differ
// in everything; what is compared is one layer with all tokens and with the odd ones inactive.
TEST(Moe, WithAFixedSplitATokenDoesNotDependOnTheOthers) {
  LayerUnderTest all(kSmall, 40, Choosing::kUniform);
  LayerUnderTest half(kSmall, 40, Choosing::kHalfInactive);
  for (LayerUnderTest* layer : {&all, &half}) {
    layer->plan();
    layer->gate_up(Which::kSm90, 2);
  }
  const auto out_all = all.down(Which::kSm90);
  const auto out_half = half.down(Which::kSm90);
  for (int token = 0; token < 40; token += 2) {
    for (int choice = 0; choice < kSmall.rows_per_token(); ++choice) {
      EXPECT_EQ(row_bytes(all, token, choice), row_bytes(half, token, choice)) << token;
    }
    const std::size_t begin = index(token * kSmall.hidden);
    EXPECT_EQ(0, std::memcmp(&out_all[begin], &out_half[begin], index(kSmall.hidden) * 2)) << token;
  }
}

TEST(Moe, RefusesWhatItCannotDo) {
  PlanParams plan;
  plan.shape = kSmall;
  plan.row_tile = 8;
  plan.routing.tokens = kTokensMax + 1;
  EXPECT_EQ(launch_plan(plan, LaunchOrder::kSerial, nullptr), cudaErrorInvalidValue);
  DownParams down;
  down.shape = kSmall;
  down.row_tile = 32;
  down.tokens = kTokensMax + 1;
  down.hidden.rows_capacity = rows_max(kSmall, down.tokens);
  EXPECT_EQ(launch_down_sm90(down, LaunchOrder::kSerial, nullptr), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace hadal::kernels::moe
