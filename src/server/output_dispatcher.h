// The output threads: take the engine's events, turn tokens into text, hand it to the waiting
// workers. No socket is touched here, so a slow client delays nobody.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "hadal/base/clock.h"
#include "hadal/engine/engine.h"
#include "server/choice_decoder.h"
#include "server/generation.h"
#include "server/metrics.h"

namespace hadal {

// Where the events of one sequence go.
struct OutputRoute {
  RequestId request{};
  ChoiceDecoder decoder;
  std::shared_ptr<Generation> generation;
  TimePoint arrival;
  TimePoint last_token = {};  // of the last event with tokens
};

// Threads: deliver() by the engine's loop; add() and remove() by any worker. Each sequence belongs
// to one output thread, its id modulo their number.
//
// What waits for an output thread is bounded by what the accepted requests may still produce: these
// threads never block.
class OutputDispatcher final : public OutputSink {
 public:
  OutputDispatcher(int threads, ServerMetrics& metrics, const Clock& clock);
  ~OutputDispatcher() override;  // stops

  // The engine that stop strings and lost readers are reported to. Before the first add();
  // REQUIRES: it outlives the last event.
  void attach(Engine& engine) { engine_ = &engine; }

  // Before the sequence is submitted. The route ends with its end event or remove().
  void add(OutputRoute route);
  // For a sequence that the engine refused.
  void remove(RequestId request);

  void deliver(const OutputEvent& event) override;

  // Handles what has been delivered, then joins. Idempotent.
  void stop();

 private:
  struct Shard {
    std::mutex mutex;
    std::condition_variable ready;
    std::vector<OutputRoute> added;                    // guarded by mutex
    std::vector<RequestId> removed;                    // guarded by mutex
    std::vector<OutputEvent> events;                   // guarded by mutex
    bool stopping = false;                             // guarded by mutex
    std::unordered_map<uint64_t, OutputRoute> routes;  // the output thread's own
    std::thread thread;
  };

  Shard& shard_of(RequestId request) { return *shards_[raw(request) % shards_.size()]; }
  void run(Shard& shard);
  void handle(Shard& shard, const OutputEvent& event);
  void observe(OutputRoute& route, const OutputEvent& event);

  ServerMetrics& metrics_;
  const Clock& clock_;
  Engine* engine_ = nullptr;
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace hadal
