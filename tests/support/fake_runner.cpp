#include "support/fake_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace hadal::test {
namespace {

template <typename... Args>
void require(bool condition, fmt::format_string<Args...> message, Args&&... args) {
  if (!condition) throw std::logic_error(fmt::format(message, std::forward<Args>(args)...));
}

uint64_t checksum_of(const StepPlan& plan) {
  uint64_t sum = mix(plan.step ^ (static_cast<uint64_t>(plan.drafts) << 56));
  const auto add = [&](auto... values) { ((sum = mix(sum + static_cast<uint64_t>(values))), ...); };
  for (const SlotId slot : plan.closes) add(raw(slot));
  for (const SlotOpen& open : plan.opens) add(raw(open.slot), raw(open.incarnation));
  for (const PageGrant& grant : plan.grants)
    add(raw(grant.slot), grant.first_index, grant.pages_end);
  for (const PageId page : plan.pages) add(raw(page));
  for (const PlanRow& row : plan.rows) {
    add(raw(row.slot), raw(row.incarnation), row.first_position, row.tokens_end, row.look_ahead);
  }
  for (const TokenId token : plan.tokens) add(token);
  return sum;
}

uint64_t mtp_tag(uint64_t target, TokenId next) {
  return extend(target ^ 0xABCDEF, next);
}

}  // namespace

FakeRunner::FakeRunner(const FakeRunnerOptions& options)
    : options_(options),
      slots_(options.info.slots),
      tags_(static_cast<size_t>(options.info.pages_total) * kPageTokens),
      row_of_slot_(options.info.slots) {}

void FakeRunner::submit(const StepPlan& plan) {
  require(!plan.rows.empty(), "step {} has nothing to do", plan.step);
  if (submit_observer_) submit_observer_(plan);
  const TimePoint start =
      options_.clock == nullptr ? TimePoint{} : std::max(options_.clock->now(), last_finish_);
  const TimePoint ready_at = options_.clock == nullptr ? start : start + options_.duration(plan);
  last_finish_ = ready_at;
  steps_.push_back({.plan = &plan,
                    .checksum = checksum_of(plan),
                    .polls_left = options_.polls_per_step,
                    .ready_at = ready_at});
  in_flight_seen_max_ = std::max(in_flight_seen_max_, in_flight());
  if (options_.clock == nullptr && (!options_.on_command || commanded())) wake();
}

Result<bool> FakeRunner::poll(StepResult& result) {
  {
    std::lock_guard lock(mutex_);
    if (failure_) return *failure_;
    if (throws_) throw std::runtime_error("thrown on purpose");
  }
  if (!ready()) return false;
  const Pending step = steps_.front();
  steps_.pop_front();
  require(checksum_of(*step.plan) == step.checksum, "P1: the plan of step {} was rewritten",
          step.plan->step);
  execute(*step.plan, result);
  return true;
}

bool FakeRunner::ready() {
  std::lock_guard lock(mutex_);
  if (steps_.empty() || hangs_) return false;
  if (options_.on_command) return completions_ > 0 && completions_-- > 0;
  if (options_.clock != nullptr) return options_.clock->now() >= steps_.front().ready_at;
  if (steps_.front().polls_left-- > 0) {
    if (wakeup_) wakeup_();
    return false;
  }
  return true;
}

bool FakeRunner::commanded() {
  std::lock_guard lock(mutex_);
  return completions_ > 0;
}

std::optional<TimePoint> FakeRunner::next_finish() {
  std::lock_guard lock(mutex_);
  return steps_.empty() || hangs_ ? std::nullopt : std::optional(steps_.front().ready_at);
}

void FakeRunner::wake() {
  if (wakeup_) wakeup_();
}

void FakeRunner::complete(int steps) {
  {
    std::lock_guard lock(mutex_);
    completions_ += steps;
  }
  wake();
}

void FakeRunner::fail(Error error) {
  {
    std::lock_guard lock(mutex_);
    failure_ = std::move(error);
  }
  wake();
}

void FakeRunner::throw_at_poll() {
  {
    std::lock_guard lock(mutex_);
    throws_ = true;
  }
  wake();
}

void FakeRunner::hang() {
  std::lock_guard lock(mutex_);
  hangs_ = true;
}

void FakeRunner::poison(Incarnation incarnation) {
  std::lock_guard lock(mutex_);
  poisoned_ = incarnation;
}

void FakeRunner::execute(const StepPlan& plan, StepResult& result) {
  if (observer_) observer_(plan);
  apply_deltas(plan);
  result.step = plan.step;
  result.rows.clear();
  for (const PlanRow& row : plan.rows) {
    RowResult& row_result = result.rows.emplace_back();
    row_result.incarnation = row.incarnation;
    if (row.kind == RowKind::kPrefill) {
      prefill(plan, row, row_result);
    } else {
      decode(plan, row, row_result);
    }
  }
  ++steps_executed_;
  rows_executed_ += static_cast<int64_t>(plan.rows.size());
}

void FakeRunner::apply_deltas(const StepPlan& plan) {
  for (const SlotId id : plan.closes) {
    Slot& slot = slots_[raw(id)];
    require(slot.open, "step {}: slot {} is closed and not open", plan.step, raw(id));
    check_reads(slot, /*all=*/true);
    slot.open = false;
  }
  // Pages first: a found prefix is read through them.
  for (const SlotOpen& open : plan.opens) open_slot(open);
  for (const PageGrant& grant : plan.grants) {
    Slot& slot = slots_[raw(grant.slot)];
    require(slot.open, "step {}: pages for the closed slot {}", plan.step, raw(grant.slot));
    require(grant.first_index == static_cast<int32_t>(slot.pages.size()),
            "step {}: pages from index {} for a table of {}", plan.step, grant.first_index,
            slot.pages.size());
    for (int32_t i = grant.pages_begin; i < grant.pages_end; ++i) {
      const PageId page = plan.pages.at(i);
      require(page != kTrashPage, "step {}: the trash page was granted", plan.step);
      slot.pages.push_back(page);
    }
  }
  for (const SlotOpen& open : plan.opens) {
    take_over_found_prefix(slots_[raw(open.slot)], open.computed_tokens);
  }
}

void FakeRunner::open_slot(const SlotOpen& open) {
  Slot& slot = slots_.at(raw(open.slot));
  require(!slot.open, "slot {} is opened and open", raw(open.slot));
  require(open.tokens_left >= 1, "slot {} has no token to produce", raw(open.slot));
  slot.open = true;
  slot.finished = false;
  slot.sampled = false;
  slot.incarnation = open.incarnation;
  slot.sampling = open.sampling;
  slot.tokens_left = open.tokens_left;
  slot.length = 0;
  slot.last = kNoToken;
  slot.prefix = kEmptyPrefix;
  slot.drafts.clear();
  slot.pages.clear();
  slot.past.clear();
}

void FakeRunner::take_over_found_prefix(Slot& slot, int32_t computed_tokens) {
  require(computed_tokens % kPageTokens == 0, "{} positions are no whole pages", computed_tokens);
  for (int32_t position = 0; position < computed_tokens; ++position) {
    slot.past.push_back(tag_at(slot, position));
    require(slot.past.back().target != 0, "position {} of a found prefix is empty", position);
  }
  slot.length = computed_tokens;
  if (computed_tokens > 0) slot.prefix = slot.past.back().target;
}

FakeRunner::Slot& FakeRunner::slot_of(const PlanRow& row) {
  Slot& slot = slots_.at(raw(row.slot));
  require(slot.open && slot.incarnation == row.incarnation,
          "P3: a row of incarnation {} in slot {} of incarnation {}", raw(row.incarnation),
          raw(row.slot), raw(slot.incarnation));
  require(row_of_slot_[raw(row.slot)] != steps_executed_ + 1, "P2: two rows of slot {}",
          raw(row.slot));
  row_of_slot_[raw(row.slot)] = steps_executed_ + 1;
  return slot;
}

void FakeRunner::prefill(const StepPlan& plan, const PlanRow& row, RowResult& result) {
  Slot& slot = slot_of(row);
  require(!slot.sampled, "a prompt chunk after the prompt");
  require(row.first_position == slot.length, "a chunk at position {} after {} positions",
          row.first_position, slot.length);
  require(row.tokens_begin < row.tokens_end, "an empty chunk");
  check_reads(slot, options_.check_all_reads);
  if (slot.length > 0) {
    require(slot.past.back().mtp == mtp_tag(slot.past.back().target, plan.tokens[row.tokens_begin]),
            "layer 61 of position {} was computed with another next token", slot.length - 1);
  }
  for (int32_t i = row.tokens_begin; i < row.tokens_end; ++i) {
    const bool last = i + 1 == row.tokens_end;
    const TokenId next = last ? row.look_ahead : plan.tokens[i + 1];
    if (last && row.samples()) {
      slot.last = plan.tokens[i];
    } else {
      commit(slot, plan.tokens[i], next);
    }
  }
  prompt_tokens_executed_ += row.tokens_end - row.tokens_begin;
  if (!row.samples()) return;
  slot.sampled = true;
  sample(plan, slot, {}, result);
}

void FakeRunner::decode(const StepPlan& plan, const PlanRow& row, RowResult& result) {
  Slot& slot = slot_of(row);
  require(slot.sampled, "a decode row before the end of the prompt");
  if (slot.finished) {
    ++inert_rows_;
    return;
  }
  check_reads(slot, options_.check_all_reads);
  std::vector<TokenId> drafts = std::move(slot.drafts);
  drafts.resize(plan.drafts, kNoToken);
  // What is written before anything is verified: all query tokens.
  for (int32_t i = 0; i <= plan.drafts; ++i) write(slot, slot.length + i, {.target = 1, .mtp = 1});
  sample(plan, slot, drafts, result);
}

// Verifies and emits, with slot.last at position slot.length not yet computed.
void FakeRunner::sample(const StepPlan& plan, Slot& slot, const std::vector<TokenId>& drafts,
                        RowResult& result) {
  {
    std::lock_guard lock(mutex_);
    if (poisoned_ == slot.incarnation) {
      result.end = RowEnd::kNotFinite;
      slot.finished = true;
      return;
    }
  }
  for (const TokenId draft : drafts) result.proposed += draft != kNoToken ? 1 : 0;
  for (size_t i = 0;; ++i) {
    const Prefix prefix = extend(slot.prefix, slot.last);
    const TokenId token = options_.model.next_token(prefix, slot.sampling);
    commit(slot, slot.last, token);
    slot.last = token;
    result.tokens[result.count++] = token;
    result.end = end_of(token, slot.tokens_left--, slot.sampling);
    const bool accepted = i < drafts.size() && drafts[i] == token;
    result.accepted += accepted ? 1 : 0;
    if (result.end != RowEnd::kNone) slot.finished = true;
    if (slot.finished || !accepted) break;
  }
  propose(plan, slot);
}

// Chained drafts write layer 61 ahead of the verified positions.
void FakeRunner::propose(const StepPlan& plan, Slot& slot) {
  slot.drafts.clear();
  Prefix prefix = extend(slot.prefix, slot.last);
  for (int j = 1; j <= plan.drafts; ++j) {
    if (j >= 2) write(slot, slot.length + j - 2, {.target = 2, .mtp = 2});
    slot.drafts.push_back(options_.model.draft(prefix, j, slot.sampling));
    prefix = extend(prefix, options_.model.next_token(prefix, slot.sampling));
  }
}

void FakeRunner::commit(Slot& slot, TokenId token, TokenId next) {
  slot.prefix = extend(slot.prefix, token);
  const Tag tag{.target = slot.prefix, .mtp = mtp_tag(slot.prefix, next)};
  write(slot, slot.length, tag);
  slot.past.push_back(tag);
  ++slot.length;
}

FakeRunner::Tag& FakeRunner::tag_at(const Slot& slot, int32_t position) {
  const auto index = static_cast<size_t>(position / kPageTokens);
  require(index < slot.pages.size(), "P4: position {} lies beyond the {} pages of incarnation {}",
          position, slot.pages.size(), raw(slot.incarnation));
  return tags_[static_cast<size_t>(raw(slot.pages[index])) * kPageTokens + position % kPageTokens];
}

void FakeRunner::write(const Slot& slot, int32_t position, Tag tag) {
  require(position < options_.info.positions_max, "position {} of at most {}", position,
          options_.info.positions_max);
  tag_at(slot, position) = tag;
}

void FakeRunner::check_reads(const Slot& slot, bool all) {
  const auto check = [&](int32_t position) {
    require(tag_at(slot, position) == slot.past[position],
            "incarnation {} reads at position {} what it did not write", raw(slot.incarnation),
            position);
  };
  if (all) {
    for (int32_t position = 0; position < slot.length; ++position) check(position);
  } else if (slot.length > 0) {
    check(slot.length - 1);
    check(static_cast<int32_t>(mix(slot.prefix) % static_cast<uint64_t>(slot.length)));
  }
}

}  // namespace hadal::test
