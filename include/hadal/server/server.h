// The HTTP front: OpenAI's API over an Engine.
//
// A Server is bound and answers as soon as listen() returns, before there is a model: /health says
// alive, /ready says how far loading is, everything else 503. open() makes it serve. Ending is
// begin_drain(), Engine::drain() and stop(), in that order.
//
// Threads: one accepts; each connection has one of at most `connections_max` worker threads, which
// parses, tokenises, waits for its request's text and writes it; `output_threads` turn the engine's
// tokens into text, so that what a client reads slowly delays nobody else. At most `streams_max`
// workers generate, so that the others always answer /health.
//
// All methods but the sink's are called by one controlling thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hadal/base/clock.h"
#include "hadal/base/status.h"
#include "hadal/core/limits.h"
#include "hadal/engine/engine.h"
#include "hadal/text/chat_format.h"
#include "hadal/text/reasoning_splitter.h"
#include "hadal/text/tokenizer.h"

namespace hadal {

// Used where a request does not say: the checkpoint's generation_config.json.
struct SamplingDefaults {
  double temperature = 1.0;
  double top_p = 1.0;
  int top_k = 0;
};

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 0;                          // 0: any free one; see Server::port()
  std::vector<std::string> model_names;  // at least one; the first one is used in answers
  std::string version;
  std::optional<uint64_t> seed;  // of the seeds drawn for requests that give none; none: random
  Limits limits;
  int output_threads = 1;
};

// What open() serves. All references outlive the server's stop().
struct ServedModel {
  Engine& engine;
  const Tokenizer& tokenizer;
  const ChatFormat& chat_format;
  ReasoningMarkers reasoning_markers;
  SamplingDefaults sampling_defaults;
  TokenId eos_token_id = 1;
  int vocab_size = 0;
  int max_model_len = 0;  // prompt + output that the engine takes
};

class Server {
 public:
  // Binds and starts answering. kIo: the port cannot be had; the sentence names address and reason.
  static Result<std::unique_ptr<Server>> listen(const ServerOptions& options, const Clock& clock);
  virtual ~Server() = default;  // stops

  virtual int port() const = 0;

  // Where the engine delivers. Valid as long as the server. Any thread.
  virtual OutputSink& sink() = 0;

  // What /ready says while loading. `fraction` is in [0, 1].
  virtual void set_progress(const std::string& phase, double fraction) = 0;

  // Starts serving. Once, from the loading state.
  virtual void open(const ServedModel& model) = 0;

  // New requests get 503 from now on; /ready too; accepted ones go on.
  virtual void begin_drain() = 0;

  // The engine has failed: as begin_drain(), and /health says 503.
  virtual void set_failed() = 0;

  // Waits until the answers of ended requests have been written, then closes. REQUIRES: the engine
  // accepts no more requests and every accepted one has ended or will end. Idempotent.
  virtual void stop() = 0;
};

}  // namespace hadal
