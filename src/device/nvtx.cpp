#include "hadal/device/nvtx.h"

#include <nvtx3/nvToolsExt.h>

namespace hadal::device {

NvtxRange::NvtxRange(const char* name) {
  nvtxRangePushA(name);
}

NvtxRange::~NvtxRange() {
  nvtxRangePop();
}

}  // namespace hadal::device
