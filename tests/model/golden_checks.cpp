#include "model/golden_checks.h"

#include <algorithm>
#include <cmath>

#include "reference/reference_ops.h"
#include "support/draft_chain.h"
#include "support/golden.h"
#include "support/sequence_rig.h"
#include "support/tiny_models.h"
#include "support/tolerance.h"

namespace hadal::test {
namespace {

using nlohmann::json;

// The goldens print sums of a whole tensor: compared relative to the sum of magnitudes.
double checksum_deviation(std::span<const float> values, const json& checksum) {
  double sum = 0.0;
  double abs_sum = 0.0;
  double square_sum = 0.0;
  for (const float value : values) {
    sum += value;
    abs_sum += std::abs(double{value});
    square_sum += double{value} * value;
  }
  const double scale = checksum.at("abs_sum").get<double>();
  const double squares = checksum.at("square_sum").get<double>();
  const double worst =
      std::max({std::abs(sum - checksum.at("sum").get<double>()) / scale,
                std::abs(abs_sum - scale) / scale, std::abs(square_sum - squares) / squares});
  return std::isfinite(worst) ? worst : INFINITY;
}

std::span<const float> last_row(const std::vector<float>& values, size_t cols) {
  return std::span(values).last(cols);
}

double row_deviation(const std::vector<float>& values, const json& wanted, Deviation deviation) {
  const std::vector<float> row = golden_floats(wanted);
  return deviation(last_row(values, row.size()), row);
}

std::vector<float> cache_rows(SequenceRig& rig, int layer, int positions) {
  const ModelSpec& spec = rig.model().spec();
  std::vector<float> rows;
  for (int p = 0; p < positions; ++p) {
    const float* entry = reference::ReferenceOps::cache_entry(rig.cache(), spec, layer, 0, p);
    rows.insert(rows.end(), entry, entry + spec.kv_dim());
  }
  return rows;
}

// The ids of every token and the weights of the last one.
void compare_experts(const json& layer, size_t moe_layer, const std::vector<int32_t>& ids,
                     const std::vector<float>& weights, Deviation deviation,
                     ActivationDeviations& result) {
  const size_t k = layer.at("weights_last").size();
  for (size_t t = 0; t < layer.at("experts").size(); ++t) {
    const auto wanted = layer.at("experts").at(t).get<std::vector<int32_t>>();
    const bool same = std::equal(wanted.begin(), wanted.end(), ids.begin() + t * k);
    if (!same) result.other_experts.push_back(moe_layer * layer.at("experts").size() + t);
  }
  result.expert_weights =
      std::max(result.expert_weights, row_deviation(weights, layer.at("weights_last"), deviation));
}

// log softmax of one row at `ids`.
std::vector<float> log_probabilities(std::span<const float> logits, const std::vector<int>& ids) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  std::vector<float> values;
  for (const int id : ids) {
    values.push_back(static_cast<float>(logits[id] - largest - std::log(sum)));
  }
  return values;
}

}  // namespace

Model load_tiny_r1(const std::string& format, ops::Ops& ops) {
  Result<Model> model =
      Model::load(open_tiny_r1(format), ops, {.mtp = true, .positions_max = kGoldenPositions});
  HADAL_CHECK(model.ok(), "{}", model.error().message);
  return std::move(model).value();
}

double logits_deviation(const Model& model, const std::string& format, int cases,
                        Deviation deviation) {
  const json golden = load_golden("logits_" + format);
  double worst = 0.0;
  for (int i = 0; i < cases; ++i) {
    const json& item = golden.at("cases").at(i);
    SequenceRig rig(model, kGoldenPositions);
    const std::vector<float> hidden = rig.forward(item.at("prompt_ids").get<std::vector<int>>(), 0);
    worst = std::max(worst, row_deviation(rig.logits(last_row(hidden, rig.hidden_size())),
                                          item.at("logits"), deviation));
  }
  return worst;
}

double logprobs_deviation(const Model& model, const std::string& format) {
  const json golden = load_golden("logprobs_" + format);
  double worst = 0.0;
  for (const json& item : golden.at("cases")) {
    auto ids = item.at("prompt_ids").get<std::vector<TokenId>>();
    const size_t prompt = ids.size();
    const auto outputs = item.at("output_ids").get<std::vector<TokenId>>();
    ids.insert(ids.end(), outputs.begin(), outputs.end());
    SequenceRig rig(model, kGoldenPositions);
    const std::vector<float> logits = rig.logits(rig.forward(ids, 0));
    const size_t vocab = static_cast<size_t>(model.spec().vocab_size);
    for (size_t i = 0; i < outputs.size(); ++i) {
      const auto row = std::span(logits).subspan((prompt - 1 + i) * vocab, vocab);
      const std::vector<float> found =
          log_probabilities(row, item.at("top_ids").at(i).get<std::vector<int>>());
      worst = std::max(worst, worst_deviation(found, golden_floats(item.at("top_logprobs").at(i))));
    }
  }
  return worst;
}

ActivationDeviations activation_deviations(const Model& model, RecordingOps& ops,
                                           const std::string& format, bool check_cache,
                                           Deviation deviation) {
  const json golden = load_golden("activations_" + format);
  const auto ids = golden.at("ids").get<std::vector<TokenId>>();
  SequenceRig rig(model, kGoldenPositions);
  ops.clear();
  const std::vector<float> hidden = rig.forward(ids, 0);

  ActivationDeviations result;
  const auto raise = [](double& worst, double value) { worst = std::max(worst, value); };
  const json& layers = golden.at("layers");
  raise(result.residual, row_deviation(ops.embeddings.at(0), layers.at(0).at("last"), deviation));
  size_t moe_layer = 0;
  for (int i = 0; i < model.spec().num_hidden_layers; ++i) {
    const json& layer = layers.at(i + 1);
    const std::vector<float>& residual = ops.residuals.at(2 * i + 1);
    raise(result.residual, row_deviation(residual, layer.at("last"), deviation));
    raise(result.residual, checksum_deviation(residual, layer.at("checksum")));
    raise(result.attention,
          row_deviation(ops.attended.at(i), layer.at("attention_last"), deviation));
    if (check_cache) {
      const std::vector<float> cache = cache_rows(rig, i, static_cast<int>(ids.size()));
      raise(result.cache, row_deviation(cache, layer.at("cache_last"), deviation));
      raise(result.cache, checksum_deviation(cache, layer.at("cache_checksum")));
    }
    if (!layer.contains("experts")) continue;
    compare_experts(layer, moe_layer, ops.expert_ids.at(moe_layer),
                    ops.expert_weights.at(moe_layer), deviation, result);
    ++moe_layer;
  }
  raise(result.final_norm, row_deviation(hidden, golden.at("final_norm_last"), deviation));
  return result;
}

double mtp_deviation(const Model& model, RecordingOps& ops, const std::string& format,
                     reference::Mistake mistake, Deviation deviation) {
  const json golden = load_golden("activations_" + format);
  const json& wanted = golden.at("mtp");
  const auto ids = golden.at("ids").get<std::vector<TokenId>>();
  const int last = static_cast<int>(ids.size()) - 1;
  SequenceRig rig(model, kGoldenPositions);
  ops.clear();
  std::vector<float> hidden = rig.forward(ids, 0);
  if (mistake == reference::Mistake::kTargetHiddenBeforeFinalNorm) hidden = ops.residuals.back();

  std::vector<TokenId> next(ids.begin() + 1, ids.end());
  next.push_back(wanted.at("steps").at(0).at("token_in"));
  ops.clear();
  const SequenceRig::MtpRows rows = rig.mtp(next, 0, hidden);
  double worst = std::max(row_deviation(ops.linears.at(0), wanted.at("eh_proj_last"), deviation),
                          checksum_deviation(rows.z, wanted.at("first_checksum")));

  const std::vector<DraftStep> steps =
      draft_chain(rig, next.back(), last, last_row(hidden, rig.hidden_size()), 3, mistake);
  for (size_t j = 0; j < steps.size(); ++j) {
    const json& step = wanted.at("steps").at(j);
    if (steps[j].draft != step.at("draft").get<TokenId>()) return INFINITY;
    worst = std::max({worst, row_deviation(steps[j].z, step.at("z_last"), deviation),
                      row_deviation(steps[j].logits, step.at("logits_last"), deviation)});
  }
  return worst;
}

GreedyDifferences greedy_differences(const Model& model, const std::string& format) {
  const json golden = load_golden("greedy_" + format);
  GreedyDifferences result;
  for (const json& item : golden.at("cases")) {
    const auto prompt = item.at("prompt_ids").get<std::vector<TokenId>>();
    const auto outputs = item.at("output_ids").get<std::vector<TokenId>>();
    const int first = static_cast<int>(prompt.size()) - 1;  // the row that gives outputs[0]
    std::vector<TokenId> ids = prompt;
    ids.insert(ids.end(), outputs.begin(), outputs.end());
    SequenceRig rig(model, kGoldenPositions);
    const size_t width = static_cast<size_t>(rig.hidden_size());
    const size_t vocab = static_cast<size_t>(model.spec().vocab_size);
    const std::vector<float> hidden = rig.forward(ids, 0);
    const std::vector<float> logits = rig.logits(std::span(hidden).subspan(first * width));
    const auto hidden_of = [&](int position) {
      return std::span(hidden).subspan(position * width, width);
    };
    if (first > 0) {
      rig.mtp(std::span(ids).subspan(1, first), 0, std::span(hidden).first(first * width));
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      const int position = first + static_cast<int>(i);
      const auto row = std::span(logits).subspan(i * vocab, vocab);
      result.tokens += argmax(row) == outputs[i] ? 0 : 1;
      const std::vector<DraftStep> steps =
          draft_chain(rig, outputs[i], position, hidden_of(position), 3, reference::Mistake::kNone);
      for (int j = 0; j < 3; ++j) {
        result.drafts += steps[j].draft == item.at("drafts").at(i).at(j).get<TokenId>() ? 0 : 1;
      }
      ++result.tokens_total;
    }
  }
  return result;
}

}  // namespace hadal::test
