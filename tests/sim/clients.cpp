#include "sim/clients.h"

#include <fmt/format.h>

#include <stdexcept>

namespace hadal::sim {
namespace {

template <typename... Args>
void require(bool condition, fmt::format_string<Args...> message, Args&&... args) {
  if (!condition) throw std::logic_error(fmt::format(message, std::forward<Args>(args)...));
}

}  // namespace

void Clients::arrived(RequestId id, const Arrival& arrival, bool accepted) {
  ++arrivals_;
  if (!accepted) {
    ++rejected_;
    return;
  }
  Client client{.arrival = arrival};
  for (const TokenId token : arrival.request.prompt) client.prefix = extend(client.prefix, token);
  if (arrival.cancel_after_turns >= 0) {
    wishes_.push_back({.due_turn = turn_ + arrival.cancel_after_turns, .request = id});
  }
  clients_.emplace(id, std::move(client));
  never_entered_.insert(id);
}

std::vector<Clients::Wish> Clients::take_wishes(int64_t turn) {
  turn_ = turn;
  std::vector<Wish> due;
  std::erase_if(wishes_, [&](const Wish& wish) {
    if (wish.due_turn > turn) return false;
    due.push_back(wish);
    return true;
  });
  for (const Wish& wish : due) {
    const auto place = clients_.find(wish.request);
    if (place == clients_.end()) continue;
    if (wish.finish_at >= 0) {
      place->second.finish_asked = wish.finish_at;
    } else {
      place->second.cancel_asked = true;
    }
  }
  return due;
}

void Clients::deliver(const OutputEvent& event) {
  const auto place = clients_.find(event.request);
  require(place != clients_.end(), "an event for request {}, which has ended", raw(event.request));
  Client& client = place->second;
  const int64_t before = client.delivered;
  for (int32_t i = 0; i < event.count; ++i) take_token(client, event.tokens[i]);
  const int stop = client.arrival.stop_at_tokens;
  if (stop > before && stop <= client.delivered) {
    wishes_.push_back({.due_turn = turn_ + client.arrival.stop_lag_turns,
                       .request = event.request,
                       .finish_at = stop});
  }
  if (!event.end) {
    require(client.model_end == RowEnd::kNone, "request {} goes on behind its last token",
            raw(event.request));
    return;
  }
  check_end(client, event);
  ++ended_;
  never_entered_.erase(event.request);
  clients_.erase(place);
}

// Each committed position enters the stream exactly once, with the token it has alone.
void Clients::take_token(Client& client, TokenId token) {
  const SamplingParams& sampling = client.arrival.request.sampling;
  require(client.model_end == RowEnd::kNone, "a token behind the last one");
  const TokenId expected = scenario_.model.next_token(client.prefix, sampling);
  require(token == expected, "output token {}: {} instead of {}", client.delivered, token,
          expected);
  client.prefix = extend(client.prefix, token);
  const auto left = static_cast<int32_t>(sampling.max_tokens - client.delivered);
  client.model_end = test::end_of(token, left, sampling);
  ++client.delivered;
  ++tokens_;
}

void Clients::check_end(const Client& client, const OutputEvent& event) const {
  const Usage& usage = event.usage;
  require(usage.prompt_tokens == static_cast<int64_t>(client.arrival.request.prompt.size()),
          "usage counts {} prompt tokens", usage.prompt_tokens);
  require(usage.cached_tokens % kPageTokens == 0 && usage.cached_tokens < usage.prompt_tokens,
          "{} of {} prompt tokens cached", usage.cached_tokens, usage.prompt_tokens);
  switch (event.reason) {
    case FinishReason::kLength:
      require(client.model_end == RowEnd::kLength, "it ended at length, {} tokens",
              client.delivered);
      break;
    case FinishReason::kStop:
      if (event.stop_token == kNoToken) {
        require(usage.completion_tokens == client.finish_asked,
                "it stopped at {} tokens, asked was {}", usage.completion_tokens,
                client.finish_asked);
        require(usage.completion_tokens <= client.delivered, "it stopped behind its last token");
        return;
      }
      require(client.model_end == RowEnd::kEos || client.model_end == RowEnd::kStopToken,
              "it stopped at token {}", event.stop_token);
      break;
    case FinishReason::kCancelled:
      require(client.cancel_asked, "nobody cancelled it");
      break;
    case FinishReason::kError:
      require(failed_, "an error: {}", event.error.message);
      break;
  }
  require(usage.completion_tokens == client.delivered, "usage counts {} tokens of {}",
          usage.completion_tokens, client.delivered);
}

void Clients::check_entries(const StepPlan& plan) {
  for (const SlotOpen& open : plan.opens) {
    const RequestId id{open.sampling.seed + 1};
    if (never_entered_.count(id) == 0) continue;
    require(*never_entered_.begin() == id, "request {} entered before request {}", raw(id),
            raw(*never_entered_.begin()));
    never_entered_.erase(id);
  }
}

void Clients::check_all_ended() const {
  require(clients_.empty(), "{} requests never ended, the first is {}", clients_.size(),
          clients_.empty() ? 0 : raw(clients_.begin()->first));
}

}  // namespace hadal::sim
