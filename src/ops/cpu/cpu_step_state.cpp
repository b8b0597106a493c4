#include "hadal/ops/cpu/cpu_step_state.h"

#include <algorithm>
#include <span>
#include <vector>

#include "hadal/base/check.h"
#include "ops/cpu/sampler.h"
#include "ops/cpu/slot_table.h"

namespace hadal::ops {
namespace {

// The arrays behind one TokenBatch.
struct BatchStorage {
  std::vector<int32_t> ids, positions, slots, row_starts;
  TokenBatch batch;

  void reserve(int32_t tokens) {
    for (auto* v : {&ids, &positions, &slots, &row_starts})
      v->reserve(static_cast<size_t>(tokens) + 1);
  }
  void clear() {
    for (auto* v : {&ids, &positions, &slots, &row_starts}) v->clear();
    row_starts.push_back(0);
  }
  void add(int32_t id, int32_t position, int32_t slot) {
    ids.push_back(id);
    positions.push_back(position);
    slots.push_back(slot);
  }
  void end_row() { row_starts.push_back(static_cast<int32_t>(ids.size())); }
  void publish() {
    batch = {.rows = static_cast<int32_t>(row_starts.size()) - 1,
             .tokens = static_cast<int32_t>(ids.size()),
             .ids = ids.data(),
             .positions = positions.data(),
             .slots = slots.data(),
             .row_starts = row_starts.data()};
  }
};

// Any embedding will do where there is no token: nobody uses the result.
constexpr TokenId kFillerToken = 0;
constexpr int32_t kInertSlot = -1;

// A plan's row while its step runs.
struct ActiveRow {
  const PlanRow* plan = nullptr;
  bool inert = false;       // its sequence had ended before this step
  int32_t first_token = 0;  // index of its first query token
  int32_t tokens = 0;
  int32_t position = 0;     // of its first query token
  int32_t first_logit = 0;  // index of its first logits row, if it samples
  int32_t logit_rows = 0;
  int32_t verified = 0;  // query tokens whose next token is known: their cache entries are final
  RowResult result;
};

class StepStateImpl final : public CpuStepState {
 public:
  explicit StepStateImpl(const CpuStepStateOptions& options)
      : options_(options),
        slots_(options.slots, options.pages_per_slot, options.pages_total),
        sampler_(options.vocab_size) {
    for (BatchStorage* b : {&target_, &mtp_, &chain_}) b->reserve(options.query_tokens_max);
    rows_.reserve(static_cast<size_t>(options.slots));
    logit_tokens_.reserve(static_cast<size_t>(options.query_tokens_max));
    draft_tokens_.reserve(static_cast<size_t>(options.slots));
    sampled_.reserve(static_cast<size_t>(options.slots));
  }

  void begin(const StepPlan& plan) override;
  const TokenBatch& target() const override { return target_.batch; }
  const int32_t* logit_tokens() const override { return logit_tokens_.data(); }
  void verify(TensorView logits) override;
  const TokenBatch& mtp() const override { return mtp_.batch; }
  const int32_t* draft_tokens() const override { return draft_tokens_.data(); }
  void draft(int j, TensorView logits) override;
  const TokenBatch& chain() const override { return chain_.batch; }
  void finish(StepResult& result) override;
  const int32_t* page_table() const override { return slots_.page_table(); }

 private:
  void check_row(const PlanRow& row, const Slot& slot) const;
  void add_prefill_tokens(ActiveRow& row, const Slot& slot);
  void add_decode_tokens(ActiveRow& row, const Slot& slot);
  void verify_row(ActiveRow& row, TensorView logits);
  void emit(RowResult& result, const Slot& slot, TokenId token) const;
  TokenId next_token(const ActiveRow& row, int32_t index) const;
  std::span<const float> logits_row(TensorView logits, int64_t row) const;

  CpuStepStateOptions options_;
  SlotTable slots_;
  Sampler sampler_;
  const StepPlan* plan_ = nullptr;
  std::vector<ActiveRow> rows_;
  std::vector<size_t> sampled_;  // indices of the rows that sample
  std::vector<int32_t> logit_tokens_, draft_tokens_;
  BatchStorage target_, mtp_, chain_;
};

void StepStateImpl::check_row(const PlanRow& row, const Slot& slot) const {
  HADAL_CHECK(slot.open && slot.incarnation == row.incarnation,
              "step {}: row of sequence {} in slot {}, which has {}", plan_->step,
              raw(row.incarnation), raw(row.slot), raw(slot.incarnation));
  if (row.kind == RowKind::kDecode) {
    HADAL_CHECK(slot.last_token != kNoToken, "step {}: slot {} decodes before its last chunk",
                plan_->step, raw(row.slot));
    return;
  }
  HADAL_CHECK(row.tokens_begin < row.tokens_end, "step {}: an empty chunk", plan_->step);
  HADAL_CHECK(slot.last_token == kNoToken && row.first_position == slot.committed,
              "step {}: slot {} has {} committed, its chunk begins at {}", plan_->step,
              raw(row.slot), slot.committed, row.first_position);
}

void StepStateImpl::begin(const StepPlan& plan) {
  HADAL_CHECK(plan.drafts >= 0 && plan.drafts <= options_.drafts_max, "step {}: K = {}, at most {}",
              plan.step, plan.drafts, options_.drafts_max);
  HADAL_CHECK(plan.query_tokens() <= options_.query_tokens_max, "step {}: {} query tokens",
              plan.step, plan.query_tokens());
  plan_ = &plan;
  slots_.apply(plan);
  rows_.clear();
  sampled_.clear();
  logit_tokens_.clear();
  target_.clear();
  for (const PlanRow& plan_row : plan.rows) {
    const Slot& slot = slots_[plan_row.slot];
    check_row(plan_row, slot);
    ActiveRow row{.plan = &plan_row,
                  .inert = slot.ended,
                  .first_token = static_cast<int32_t>(target_.ids.size())};
    row.result.incarnation = plan_row.incarnation;
    if (plan_row.kind == RowKind::kDecode) {
      add_decode_tokens(row, slot);
    } else {
      add_prefill_tokens(row, slot);
    }
    target_.end_row();
    row.tokens = static_cast<int32_t>(target_.ids.size()) - row.first_token;
    if (!row.inert) {
      slots_.check_granted(plan_row.slot, row.position, row.position + row.tokens - 1);
    }
    if (plan_row.samples()) {
      row.first_logit = static_cast<int32_t>(logit_tokens_.size());
      row.logit_rows = plan_row.kind == RowKind::kDecode ? row.tokens : 1;
      for (int32_t i = row.tokens - row.logit_rows; i < row.tokens; ++i) {
        logit_tokens_.push_back(row.first_token + i);
      }
      sampled_.push_back(rows_.size());
    }
    rows_.push_back(row);
  }
  target_.publish();
}

void StepStateImpl::add_prefill_tokens(ActiveRow& row, const Slot& slot) {
  row.position = slot.committed;
  for (int32_t i = row.plan->tokens_begin; i < row.plan->tokens_end; ++i) {
    target_.add(plan_->tokens[static_cast<size_t>(i)], row.position + (i - row.plan->tokens_begin),
                row.inert ? kInertSlot : raw(row.plan->slot));
  }
}

void StepStateImpl::add_decode_tokens(ActiveRow& row, const Slot& slot) {
  row.position = row.inert ? 0 : slot.committed;
  const int32_t slot_index = row.inert ? kInertSlot : raw(row.plan->slot);
  target_.add(slot.last_token, row.position, slot_index);
  for (int32_t k = 0; k < plan_->drafts; ++k) {
    const TokenId draft = slot.drafts[static_cast<size_t>(k)];
    target_.add(draft == kNoToken ? kFillerToken : draft, row.position + 1 + k, slot_index);
    if (!row.inert && draft != kNoToken) ++row.result.proposed;
  }
}

std::span<const float> StepStateImpl::logits_row(TensorView logits, int64_t row) const {
  return {logits.as<float>() + row * logits.cols, static_cast<size_t>(logits.cols)};
}

// Appends a token and decides whether it ends the row.
void StepStateImpl::emit(RowResult& result, const Slot& slot, TokenId token) const {
  result.tokens[static_cast<size_t>(result.count++)] = token;
  const SamplingParams& p = slot.sampling;
  if (token == p.eos_token_id && !p.ignore_eos) {
    result.end = RowEnd::kEos;
  } else if (std::ranges::find(p.stop_token_ids, token) != p.stop_token_ids.end()) {
    result.end = RowEnd::kStopToken;
  } else if (result.count == slot.tokens_left) {
    result.end = RowEnd::kLength;
  }
}

void StepStateImpl::verify_row(ActiveRow& row, TensorView logits) {
  const Slot& slot = slots_[row.plan->slot];
  const int32_t unsampled = row.tokens - row.logit_rows;  // chunk tokens before the sampling one
  for (int32_t r = 0; r < row.logit_rows; ++r) {
    const TokenId token = sampler_.sample(logits_row(logits, row.first_logit + r), slot.sampling,
                                          row.position + unsampled + r + 1);
    if (token == kNotFiniteToken) {
      row.result.end = RowEnd::kNotFinite;
      break;
    }
    emit(row.result, slot, token);
    const bool accepted = r + 1 < row.logit_rows && slot.drafts[static_cast<size_t>(r)] == token;
    row.result.accepted += accepted ? 1 : 0;
    if (row.result.end != RowEnd::kNone || !accepted) break;
  }
  row.verified = unsampled + row.result.count;
}

// The token after query token `index` of a row. REQUIRES: index < row.verified.
TokenId StepStateImpl::next_token(const ActiveRow& row, int32_t index) const {
  const int32_t unsampled = row.tokens - row.logit_rows;
  if (row.plan->kind == RowKind::kDecode || (row.plan->samples() && index >= unsampled)) {
    return row.result.tokens[static_cast<size_t>(index - unsampled)];
  }
  const int32_t next = row.plan->tokens_begin + index + 1;
  return next < row.plan->tokens_end ? plan_->tokens[static_cast<size_t>(next)]
                                     : row.plan->look_ahead;
}

void StepStateImpl::verify(TensorView logits) {
  HADAL_CHECK(logits.dtype == DType::kF32 && logits.cols == options_.vocab_size &&
                  logits.rows == static_cast<int64_t>(logit_tokens_.size()),
              "logits [{}, {}], wanted [{}, {}]", logits.rows, logits.cols, logit_tokens_.size(),
              options_.vocab_size);
  mtp_.clear();
  draft_tokens_.clear();
  for (ActiveRow& row : rows_) {
    if (row.inert) {
      row.verified = 0;
    } else if (row.plan->samples()) {
      verify_row(row, logits);
    } else {
      row.verified = row.tokens;
    }
    for (int32_t i = 0; i < row.tokens; ++i) {
      const bool known = i < row.verified;
      mtp_.add(known ? next_token(row, i) : kFillerToken, row.position + i,
               known ? raw(row.plan->slot) : kInertSlot);
    }
    mtp_.end_row();
    if (row.plan->samples()) {
      draft_tokens_.push_back(row.first_token + std::max(row.verified - 1, 0));
    }
  }
  mtp_.publish();
}

void StepStateImpl::draft(int j, TensorView logits) {
  HADAL_CHECK(j >= 1 && j <= plan_->drafts, "draft {} of {}", j, plan_->drafts);
  HADAL_CHECK(
      logits.rows == static_cast<int64_t>(sampled_.size()) && logits.cols == options_.vocab_size,
      "draft logits [{}, {}]", logits.rows, logits.cols);
  chain_.clear();
  for (size_t i = 0; i < sampled_.size(); ++i) {
    const ActiveRow& row = rows_[sampled_[i]];
    Slot& slot = slots_[row.plan->slot];
    if (row.inert || row.result.end != RowEnd::kNone) {
      chain_.add(kFillerToken, 0, kInertSlot);
      chain_.end_row();
      continue;
    }
    const int32_t last_position = row.position + row.verified;  // of the row's new last token
    const auto row_logits = logits_row(logits, static_cast<int64_t>(i));
    const TokenId token = options_.draft_choice == DraftChoice::kSameNoise
                              ? sampler_.sample(row_logits, slot.sampling, last_position + j)
                              : Sampler::argmax(row_logits);
    slot.drafts[static_cast<size_t>(j - 1)] = token == kNotFiniteToken ? kNoToken : token;
    const int32_t position = last_position + j - 1;
    if (j < plan_->drafts) slots_.check_granted(row.plan->slot, position, position);
    chain_.add(std::max(token, kFillerToken), position, raw(row.plan->slot));
    chain_.end_row();
  }
  chain_.publish();
}

void StepStateImpl::finish(StepResult& result) {
  result.step = plan_->step;
  result.rows.clear();
  for (const ActiveRow& row : rows_) {
    result.rows.push_back(row.result);
    if (row.inert) continue;
    Slot& slot = slots_[row.plan->slot];
    slot.committed = row.position + row.verified;
    if (!row.plan->samples()) continue;
    slot.tokens_left -= row.result.count;
    slot.ended = row.result.end != RowEnd::kNone;
    if (row.result.count > 0) {
      slot.last_token = row.result.tokens[static_cast<size_t>(row.result.count - 1)];
    }
    for (int k = plan_->drafts; k < kDraftsMax; ++k) slot.drafts[static_cast<size_t>(k)] = kNoToken;
  }
  plan_ = nullptr;
}

}  // namespace

std::unique_ptr<CpuStepState> make_cpu_step_state(const CpuStepStateOptions& options) {
  HADAL_CHECK(options.slots > 0 && options.pages_per_slot > 0 && options.pages_total > 1 &&
                  options.vocab_size > 0 && options.query_tokens_max > 0,
              "slots {}, pages {} of {}, vocabulary {}, query tokens {}", options.slots,
              options.pages_per_slot, options.pages_total, options.vocab_size,
              options.query_tokens_max);
  HADAL_CHECK(options.drafts_max >= 0 && options.drafts_max <= kDraftsMax, "drafts_max {}",
              options.drafts_max);
  return std::make_unique<StepStateImpl>(options);
}

}  // namespace hadal::ops
