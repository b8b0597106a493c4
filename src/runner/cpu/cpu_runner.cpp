#include "hadal/runner/cpu/cpu_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "hadal/base/check.h"
#include "hadal/model/model.h"
#include "runner/cpu/step_thread.h"

namespace hadal {
namespace {

int64_t ceil_div(int64_t value, int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

Error refuse(std::string message) {
  return {ErrorCode::kInvalidArgument, std::move(message)};
}

Status check(const CpuRunnerOptions& options, const ModelSpec& spec) {
  if (options.drafts_max < 0 || options.drafts_max > kDraftsMax) {
    return refuse(fmt::format("{} drafts, wanted 0 to {}", options.drafts_max, kDraftsMax));
  }
  if (options.slots < 1) return refuse(fmt::format("{} slots, wanted 1 or more", options.slots));
  if (options.query_tokens_max < 1 + options.drafts_max) {
    return refuse(fmt::format("{} tokens a step, wanted at least the {} of one row with {} drafts",
                              options.query_tokens_max, 1 + options.drafts_max,
                              options.drafts_max));
  }
  if (options.max_model_len < 0 || options.max_model_len > spec.max_position_embeddings) {
    return refuse(fmt::format("max_model_len {}, wanted at most the model's {} positions",
                              options.max_model_len, spec.max_position_embeddings));
  }
  return {};
}

// The sizes that follow from options, model and the bytes of a page of all layers.
Result<RunnerInfo> plan_sizes(const CpuRunnerOptions& options, const ModelSpec& spec,
                              int64_t page_bytes) {
  const int64_t pages =
      std::min<int64_t>(options.kv_bytes / page_bytes, std::numeric_limits<int32_t>::max());
  const int64_t surplus = 2 * int64_t{options.drafts_max};       // positions that drafts may reach
  const int64_t positions_in_pages = (pages - 1) * kPageTokens;  // the first page is the trash page
  if (positions_in_pages < 1 + surplus) {
    return refuse(fmt::format("{} bytes of KV cache hold {} pages of {} bytes, wanted at least 2",
                              options.kv_bytes, pages, page_bytes));
  }
  const int64_t longest =
      std::min(int64_t{spec.max_position_embeddings}, positions_in_pages - surplus);
  const int64_t length = options.max_model_len > 0 ? options.max_model_len : longest;
  return RunnerInfo{.slots = options.slots,
                    .pages_total = static_cast<int32_t>(pages),
                    .positions_max = static_cast<int32_t>(length + surplus),
                    .vocab_size = spec.vocab_size,
                    .drafts_max = options.drafts_max,
                    .query_tokens_max = options.query_tokens_max};
}

StepSizes largest_step(const RunnerInfo& info) {
  const int64_t verified = int64_t{info.slots} * (1 + info.drafts_max);
  return {.query_tokens = info.query_tokens_max,
          .logit_rows = std::min<int64_t>(info.query_tokens_max, verified),
          .sampled_rows = std::min(info.query_tokens_max, info.slots)};
}

class CpuRunnerImpl final : public CpuRunner {
 public:
  CpuRunnerImpl(const CpuRunnerOptions& options, const RunnerInfo& info,
                std::unique_ptr<ops::Ops> ops, Model model, ops::CpuKvPages pages)
      : info_(info),
        chain_(options.chain),
        ops_(std::move(ops)),
        model_(std::move(model)),
        pages_(std::move(pages)),
        scratch_bytes_(step_scratch_bytes(model_, largest_step(info))),
        context_(ops_->make_context(scratch_bytes_)),
        state_(ops::make_cpu_step_state(
            {.slots = info.slots,
             .pages_per_slot = static_cast<int32_t>(ceil_div(info.positions_max, kPageTokens)),
             .pages_total = info.pages_total,
             .vocab_size = info.vocab_size,
             .drafts_max = info.drafts_max,
             .query_tokens_max = info.query_tokens_max,
             .draft_choice = options.draft_choice})),
        cache_{.pages = pages_.data(),
               .page_table = state_->page_table(),
               .pages_per_slot = static_cast<int32_t>(ceil_div(info.positions_max, kPageTokens)),
               .pages_total = info.pages_total,
               .layers = model_.kv_layers()},
        thread_([this](const StepPlan& plan, StepResult& result) {
          run_step(model_, *context_, *state_, cache_, plan, chain_, result);
        }) {}

  const RunnerInfo& info() const override { return info_; }
  void set_wakeup(std::function<void()> wakeup) override { thread_.set_wakeup(std::move(wakeup)); }
  void submit(const StepPlan& plan) override { thread_.submit(plan); }
  Result<bool> poll(StepResult& result) override { return thread_.poll(result); }
  int in_flight() const override { return thread_.in_flight(); }

  CpuRunnerMemory memory() const override {
    return {.weight_bytes = model_.weight_bytes(),
            .kv_bytes = pages_.bytes(),
            .scratch_bytes = scratch_bytes_};
  }

 private:
  const RunnerInfo info_;
  const ChainState chain_;
  const std::unique_ptr<ops::Ops> ops_;
  const Model model_;
  const ops::CpuKvPages pages_;
  const int64_t scratch_bytes_;
  const std::unique_ptr<ops::ExecContext> context_;
  const std::unique_ptr<ops::CpuStepState> state_;
  const ops::PagedKvCache cache_;
  StepThread thread_;  // last: it uses all of the above
};

}  // namespace

Result<std::unique_ptr<CpuRunner>> make_cpu_runner(const Checkpoint& checkpoint,
                                                   const CpuRunnerOptions& options) {
  const ModelSpec& spec = checkpoint.spec();
  HADAL_RETURN_IF_ERROR(check(options, spec));
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<ops::Ops> ops,
                         ops::make_cpu_ops({.threads = options.threads, .isa = options.isa}));
  const bool mtp = options.drafts_max > 0;
  const int32_t layers = spec.num_hidden_layers + (mtp ? 1 : 0);
  HADAL_ASSIGN_OR_RETURN(const RunnerInfo info,
                         plan_sizes(options, spec, layers * ops->kv_page_bytes(spec)));
  HADAL_ASSIGN_OR_RETURN(
      Model model,
      Model::load(checkpoint, *ops, {.mtp = mtp, .positions_max = info.positions_max}));
  HADAL_ASSIGN_OR_RETURN(ops::CpuKvPages pages,
                         ops::CpuKvPages::create(spec, layers, info.pages_total));
  return std::unique_ptr<CpuRunner>(std::make_unique<CpuRunnerImpl>(
      options, info, std::move(ops), std::move(model), std::move(pages)));
}

}  // namespace hadal
