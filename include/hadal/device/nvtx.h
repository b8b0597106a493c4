// A named range on a profiler's timeline, open while the object lives. Free when no profiler
// listens.
#pragma once

namespace hadal::device {

class NvtxRange {
 public:
  // REQUIRES: `name` outlives the call (the profiler copies it).
  explicit NvtxRange(const char* name);
  ~NvtxRange();
  NvtxRange(const NvtxRange&) = delete;
  NvtxRange& operator=(const NvtxRange&) = delete;
};

}  // namespace hadal::device
