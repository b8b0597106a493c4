// One request on its way from the engine to the socket.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/active_request.h"
#include "server/api_error.h"
#include "server/response_writer.h"
#include "server/server_state.h"

namespace httplib {
class DataSink;
struct Request;
}  // namespace httplib

namespace hadal {

// Threads: one worker. Destroying it cancels what the engine still does for it.
class Answer {
 public:
  // REQUIRES: `state` outlives this.
  Answer(ServerState& state, std::unique_ptr<StreamGate::Ticket> ticket,
         std::unique_ptr<ActiveRequest> active, ResponseWriter::Options options);

  // For an answer that is not streamed: waits for all of it. An error, or nothing and body() is it.
  std::optional<ApiError> collect(const httplib::Request& request);
  std::string body() const { return writer_.body(choices_); }

  // For a stream: waits for the first text, so that a failure before it gets an HTTP status of its
  // own. Nothing: there is text, or it takes long, or the client has gone; go on with stream().
  std::optional<ApiError> await_first(const httplib::Request& request);
  // Writes events until the end. False: the client has gone.
  bool stream(httplib::DataSink& sink, bool include_usage);

 private:
  Generation& generation() { return active_->generation(); }
  bool next_events(std::string& out, httplib::DataSink& sink, bool include_usage);
  void append_updates(std::string& out, const std::vector<ChoiceUpdate>& updates);
  void end_with_error(std::string& out, const ApiError& error);
  std::vector<ChoiceEnd> ends() const;

  ServerState& state_;
  std::unique_ptr<StreamGate::Ticket> ticket_;
  std::unique_ptr<ActiveRequest> active_;
  ResponseWriter writer_;
  std::vector<FinishedChoice> choices_;  // a stream sets their ends only
  std::vector<ChoiceUpdate> taken_;      // from the generation, not written yet
  TimePoint last_write_;
  bool done_ = false;
};

}  // namespace hadal
