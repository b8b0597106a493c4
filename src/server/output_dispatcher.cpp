#include "server/output_dispatcher.h"

#include <utility>

#include "hadal/base/check.h"

namespace hadal {

OutputDispatcher::OutputDispatcher(int threads, ServerMetrics& metrics, const Clock& clock)
    : metrics_(metrics), clock_(clock) {
  HADAL_CHECK(threads > 0, "{} output threads", threads);
  for (int i = 0; i < threads; ++i) {
    shards_.push_back(std::make_unique<Shard>());
    Shard& shard = *shards_.back();
    shard.thread = std::thread([this, &shard] { run(shard); });
  }
}

OutputDispatcher::~OutputDispatcher() {
  stop();
}

void OutputDispatcher::add(OutputRoute route) {
  Shard& shard = shard_of(route.request);
  std::lock_guard lock(shard.mutex);
  shard.added.push_back(std::move(route));
}

void OutputDispatcher::remove(RequestId request) {
  Shard& shard = shard_of(request);
  {
    std::lock_guard lock(shard.mutex);
    shard.removed.push_back(request);
  }
  shard.ready.notify_one();
}

void OutputDispatcher::deliver(const OutputEvent& event) {
  Shard& shard = shard_of(event.request);
  bool was_empty = false;
  {
    std::lock_guard lock(shard.mutex);
    was_empty = shard.events.empty();
    shard.events.push_back(event);
  }
  if (was_empty) shard.ready.notify_one();
}

void OutputDispatcher::stop() {
  for (auto& shard : shards_) {
    {
      std::lock_guard lock(shard->mutex);
      shard->stopping = true;
    }
    shard->ready.notify_one();
  }
  for (auto& shard : shards_) {
    if (shard->thread.joinable()) shard->thread.join();
  }
}

void OutputDispatcher::run(Shard& shard) {
  std::vector<OutputEvent> events;
  while (true) {
    std::vector<RequestId> removed;
    {
      std::unique_lock lock(shard.mutex);
      shard.ready.wait(
          lock, [&] { return shard.stopping || !shard.events.empty() || !shard.removed.empty(); });
      if (shard.events.empty() && shard.removed.empty()) return;  // stopping
      events.clear();
      events.swap(shard.events);
      removed.swap(shard.removed);
      // add() precedes submit(), so every route is here before its first event.
      for (OutputRoute& route : shard.added) {
        const uint64_t key = raw(route.request);
        shard.routes.emplace(key, std::move(route));
      }
      shard.added.clear();
    }
    for (const RequestId request : removed) shard.routes.erase(raw(request));
    for (const OutputEvent& event : events) handle(shard, event);
  }
}

void OutputDispatcher::handle(Shard& shard, const OutputEvent& event) {
  const auto found = shard.routes.find(raw(event.request));
  HADAL_CHECK(found != shard.routes.end(), "an event of unknown request {}", raw(event.request));
  OutputRoute& route = found->second;
  const bool had_match = route.decoder.matched_at().has_value();
  ChoiceUpdate update = route.decoder.consume(event);
  observe(route, event);
  if (const auto tokens = route.decoder.matched_at(); tokens && !had_match && !event.end) {
    engine_->finish_at(event.request, *tokens);
  }
  const bool is_worth_sending = update.end || !update.content.empty() || !update.reasoning.empty();
  if (is_worth_sending && !route.generation->put(std::move(update)) && !event.end) {
    engine_->cancel(event.request);
  }
  if (is_worth_sending) route.generation->notify();
  if (event.end) shard.routes.erase(found);
}

void OutputDispatcher::observe(OutputRoute& route, const OutputEvent& event) {
  const TimePoint now = clock_.now();
  if (event.count > 0) {
    const bool is_first = route.last_token == TimePoint{};
    if (is_first) {
      metrics_.time_to_first_token_s.observe(seconds(now - route.arrival));
    } else {
      metrics_.inter_token_latency_s.observe(seconds(now - route.last_token));
    }
    route.last_token = now;
  }
  if (event.end) metrics_.e2e_request_latency_s.observe(seconds(now - route.arrival));
}

}  // namespace hadal
