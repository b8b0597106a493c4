#include "server/answer.h"

#include <httplib.h>

#include <chrono>
#include <utility>

namespace hadal {
namespace {

// How soon a vanished client is noticed where no write would tell.
constexpr Duration kConnectionCheck = std::chrono::milliseconds(50);
// A stream that is quiet for this long gets a comment, so that proxies keep it open.
constexpr Duration kHeartbeat = std::chrono::seconds(15);

// An end that is not the answer's.
std::optional<ApiError> failure_of(const ChoiceUpdate& update) {
  if (!update.end) return std::nullopt;
  if (update.end->reason == FinishReason::kError) return to_api_error(update.end->error);
  // Cancelled, and not by this worker: the server is ending.
  if (update.end->reason == FinishReason::kCancelled) return engine_draining();
  return std::nullopt;
}

std::optional<ApiError> first_failure(const std::vector<ChoiceUpdate>& updates) {
  for (const ChoiceUpdate& update : updates) {
    if (auto failure = failure_of(update)) return failure;
  }
  return std::nullopt;
}

// Nobody reads it; nginx's number for the log.
ApiError client_gone() {
  return {.status = 499, .message = "the client has gone"};
}

ApiError reader_too_slow() {
  return to_api_error(
      Error{ErrorCode::kResourceExhausted,
            "the stream was read too slowly and has been ended (--output-events-queued-max)"});
}

}  // namespace

Answer::Answer(ServerState& state, std::unique_ptr<StreamGate::Ticket> ticket,
               std::unique_ptr<ActiveRequest> active, ResponseWriter::Options options)
    : state_(state),
      ticket_(std::move(ticket)),
      active_(std::move(active)),
      writer_(std::move(options)),
      choices_(active_->choices()),
      last_write_(state.clock.now()) {}

std::optional<ApiError> Answer::collect(const httplib::Request& request) {
  TimePoint checked = state_.clock.now();
  while (!generation().finished()) {
    const bool ready = generation().wait_for(kConnectionCheck);
    // By the clock: a fast model leaves no pause in which to look.
    if (const TimePoint now = state_.clock.now(); now - checked >= kConnectionCheck) {
      if (request.is_connection_closed()) return client_gone();
      checked = now;
    }
    if (!ready) continue;
    if (generation().too_slow()) return reader_too_slow();
    for (ChoiceUpdate& update : generation().take()) {
      if (auto failure = failure_of(update)) return failure;
      FinishedChoice& choice = choices_[static_cast<size_t>(update.choice)];
      choice.reasoning += update.reasoning;
      choice.content += update.content;
      if (update.end) choice.end = std::move(*update.end);
    }
  }
  return std::nullopt;
}

std::optional<ApiError> Answer::await_first(const httplib::Request& request) {
  const TimePoint deadline = state_.clock.now() + kHeartbeat;
  while (!generation().wait_for(kConnectionCheck)) {
    if (request.is_connection_closed() || state_.clock.now() >= deadline) return std::nullopt;
  }
  taken_ = generation().take();
  return first_failure(taken_);
}

bool Answer::stream(httplib::DataSink& sink, bool include_usage) {
  std::string out;
  while (!done_) {
    out.clear();
    if (!next_events(out, sink, include_usage)) return false;
    if (out.empty()) continue;
    if (!sink.write(out.data(), out.size())) return false;
    last_write_ = state_.clock.now();
  }
  sink.done();
  return true;
}

// Appends what is due now; possibly nothing. False: the client has gone.
bool Answer::next_events(std::string& out, httplib::DataSink& sink, bool include_usage) {
  if (taken_.empty()) {
    if (!generation().wait_for(kConnectionCheck)) {
      if (!sink.is_writable()) return false;
      if (state_.clock.now() - last_write_ >= kHeartbeat) ResponseWriter::append_heartbeat(out);
      return true;
    }
    taken_ = generation().take();
  }
  if (generation().too_slow()) {
    state_.metrics.slow_readers_dropped.fetch_add(1);
    end_with_error(out, reader_too_slow());
    return true;
  }
  append_updates(out, std::exchange(taken_, {}));
  if (!done_ && generation().finished()) {
    if (include_usage) writer_.append_usage(out, ends());
    ResponseWriter::append_done(out);
    done_ = true;
  }
  return true;
}

void Answer::append_updates(std::string& out, const std::vector<ChoiceUpdate>& updates) {
  for (const ChoiceUpdate& update : updates) {
    if (const auto failure = failure_of(update)) {
      end_with_error(out, *failure);
      return;
    }
    if (update.end) choices_[static_cast<size_t>(update.choice)].end = *update.end;
    writer_.append_update(out, update);
  }
}

void Answer::end_with_error(std::string& out, const ApiError& error) {
  ResponseWriter::append_error(out, error);
  ResponseWriter::append_done(out);
  done_ = true;
}

std::vector<ChoiceEnd> Answer::ends() const {
  std::vector<ChoiceEnd> result;
  for (const FinishedChoice& choice : choices_) result.push_back(choice.end);
  return result;
}

}  // namespace hadal
