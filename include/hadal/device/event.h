// A CUDA event: a mark in a stream, to wait for from another stream or to read the time between
// two.
#pragma once

#include <cuda_runtime_api.h>

#include "hadal/base/status.h"
#include "hadal/device/stream.h"

namespace hadal::device {

enum class EventTiming { kOff, kOn };

// Owns one event. Move only. Threads: any one at a time.
class Event {
 public:
  // An event without timing is cheaper to record and to wait for.
  static Result<Event> create(EventTiming timing);
  ~Event();
  Event(Event&& other) noexcept;
  Event& operator=(Event&& other) noexcept;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // Marks the point that `stream` has been given work up to.
  Status record(StreamView stream);
  // Work given to `stream` from now on starts after the mark.
  Status make_wait(StreamView stream) const;
  // True once the mark has been passed; never blocks.
  Result<bool> passed() const;
  // Blocks until the mark has been passed.
  Status synchronize() const;

 private:
  explicit Event(cudaEvent_t handle) : handle_(handle) {}
  friend Result<double> elapsed_us(const Event& begin, const Event& end);
  cudaEvent_t handle_ = nullptr;
};

// Microseconds between two passed marks. REQUIRES: both were created with EventTiming::kOn.
Result<double> elapsed_us(const Event& begin, const Event& end);

}  // namespace hadal::device
