// Whole steps of tiny-r1 on the CPU, without engine and server: continuous batching of the golden
// prompts, greedy, each until its end. tokens/s is output tokens over all of the time, prefill
// included: the ceiling of what the server can reach on this machine.
//
// Arguments: concurrent sequences, drafts K, threads, path (0 portable … 3 amx).
#include <benchmark/benchmark.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hadal/model/step.h"
#include "hadal/ops/cpu/cpu_ops.h"
#include "hadal/ops/cpu/cpu_step_state.h"

namespace hadal {
namespace {

constexpr int32_t kPagesPerSlot = 8;
constexpr int kDraftsOfBench = 3;
constexpr int kMaxTokens = 256;

std::vector<std::vector<TokenId>> golden_prompts() {
  std::ifstream file(HADAL_SOURCE_DIR "/tests/golden/greedy_fp8.json");
  const auto json = nlohmann::json::parse(file);
  std::vector<std::vector<TokenId>> prompts;
  for (const auto& item : json.at("cases")) {
    prompts.push_back(item.at("prompt_ids").get<std::vector<TokenId>>());
  }
  return prompts;
}

// A scheduler of the simplest kind: a slot that ends is given the next prompt.
class Driver {
 public:
  Driver(Model& model, int32_t sequences)
      : model_(model),
        sequences_(sequences),
        prompts_(golden_prompts()),
        pages_(std::move(ops::CpuKvPages::create(model.spec(), model.kv_layers(), pages_total()))
                   .value()),
        state_(ops::make_cpu_step_state({.slots = sequences,
                                         .pages_per_slot = kPagesPerSlot,
                                         .pages_total = pages_total(),
                                         .vocab_size = model.spec().vocab_size,
                                         .drafts_max = kDraftsOfBench,
                                         .query_tokens_max = kQueryTokensMax})),
        context_(model.ops().make_context(
            step_scratch_bytes(model, {.query_tokens = kQueryTokensMax,
                                       .logit_rows = sequences * (kDraftsOfBench + 1),
                                       .sampled_rows = sequences}))),
        idle_(static_cast<size_t>(sequences), true) {}

  // One step; returns the number of tokens it emitted.
  int64_t step(int32_t drafts) {
    plan(drafts);
    run_step(model_, *context_, *state_,
             {.pages = pages_.data(),
              .page_table = state_->page_table(),
              .pages_per_slot = kPagesPerSlot,
              .pages_total = pages_total(),
              .layers = model_.kv_layers()},
             plan_, ChainState::kPostNorm, result_);
    int64_t tokens = 0;
    for (size_t i = 0; i < plan_.rows.size(); ++i) {
      tokens += result_.rows[i].count;
      idle_[static_cast<size_t>(raw(plan_.rows[i].slot))] = result_.rows[i].end != RowEnd::kNone;
    }
    return tokens;
  }

 private:
  static constexpr int32_t kQueryTokensMax = 8192;
  int32_t pages_total() const { return 1 + sequences_ * kPagesPerSlot; }

  void plan(int32_t drafts) {
    plan_ = {.step = plan_.step + 1, .drafts = drafts};
    for (int32_t i = 0; i < sequences_; ++i) {
      const SlotId slot{i};
      if (!idle_[static_cast<size_t>(i)]) {
        plan_.rows.push_back(
            {.kind = RowKind::kDecode, .slot = slot, .incarnation = Incarnation{1}});
        continue;
      }
      if (opened_ & (uint64_t{1} << i)) plan_.closes.push_back(slot);
      opened_ |= uint64_t{1} << i;
      open(slot);
    }
  }
  void open(SlotId slot) {
    const auto& prompt = prompts_[next_prompt_++ % prompts_.size()];
    SamplingParams greedy;
    greedy.temperature = 0.0F;
    plan_.opens.push_back({.slot = slot,
                           .incarnation = Incarnation{1},
                           .prompt_tokens = static_cast<int32_t>(prompt.size()),
                           .tokens_left = kMaxTokens,
                           .sampling = greedy});
    const auto begin = static_cast<int32_t>(plan_.pages.size());
    for (int32_t p = 0; p < kPagesPerSlot; ++p) {
      plan_.pages.push_back(PageId{1 + raw(slot) * kPagesPerSlot + p});
    }
    plan_.grants.push_back({slot, 0, begin, begin + kPagesPerSlot});
    const auto first = static_cast<int32_t>(plan_.tokens.size());
    plan_.tokens.insert(plan_.tokens.end(), prompt.begin(), prompt.end());
    plan_.rows.push_back({.kind = RowKind::kPrefill,
                          .slot = slot,
                          .incarnation = Incarnation{1},
                          .tokens_begin = first,
                          .tokens_end = static_cast<int32_t>(plan_.tokens.size())});
  }

  Model& model_;
  int32_t sequences_;
  std::vector<std::vector<TokenId>> prompts_;
  size_t next_prompt_ = 0;
  ops::CpuKvPages pages_;
  std::unique_ptr<ops::CpuStepState> state_;
  std::unique_ptr<ops::ExecContext> context_;
  std::vector<bool> idle_;
  uint64_t opened_ = 0;  // slots that have been opened, as bits
  StepPlan plan_;
  StepResult result_;
};

void decode(benchmark::State& bench) {
  const auto isa = static_cast<ops::CpuIsa>(bench.range(3));
  const auto drafts = static_cast<int32_t>(bench.range(1));
  auto made = ops::make_cpu_ops({.threads = static_cast<int>(bench.range(2)), .isa = isa});
  if (!made.ok()) {
    bench.SkipWithError(made.error().message.c_str());
    return;
  }
  auto checkpoint = Checkpoint::open(HADAL_SOURCE_DIR "/tests/models/tiny-r1");
  HADAL_CHECK(checkpoint.ok(), "{}", checkpoint.error().message);
  auto model = Model::load(*checkpoint, **made, {.mtp = drafts > 0, .positions_max = 1024});
  HADAL_CHECK(model.ok(), "{}", model.error().message);
  Driver driver(*model, static_cast<int32_t>(bench.range(0)));
  int64_t tokens = 0;
  for (auto _ : bench) tokens += driver.step(drafts);
  bench.SetItemsProcessed(tokens);
  bench.counters["tokens/step"] =
      static_cast<double>(tokens) / static_cast<double>(bench.iterations());
  bench.SetLabel(std::string(ops::cpu_isa_name(isa)));
}

void arguments(benchmark::internal::Benchmark* bench) {
  const auto fastest = static_cast<int64_t>(ops::available_cpu_isas().back());
  for (const int64_t sequences : {1, 8, 32}) {
    for (const int64_t drafts : {0, 3}) bench->Args({sequences, drafts, 2, fastest});
  }
  for (const ops::CpuIsa isa : ops::available_cpu_isas()) {
    bench->Args({1, 0, 1, static_cast<int64_t>(isa)});
  }
}

BENCHMARK(decode)
    ->Apply(arguments)
    ->ArgNames({"streams", "K", "threads", "path"})
    ->UseRealTime()
    ->MinTime(1.0)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hadal

BENCHMARK_MAIN();
