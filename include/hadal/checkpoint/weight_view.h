// Typed views of a checkpoint's tensors, as they lie in the mapped shards. Views never own: they
// are valid while the Checkpoint they came from lives. Formats: spec of the safetensors file and of
// the three weight formats is in src/checkpoint/README.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace hadal {

enum class WeightFormat : uint8_t {
  kBf16,      // [out, in] bf16
  kFp8Block,  // [out, in] e4m3, fp32 scale a 128 x 128 block (weight_scale_inv), multiplied
  kNvfp4,     // [out, in] e2m1 two a byte (low nibble first), e4m3 scale a 1 x 16 group, one fp32
              // scale
};

inline constexpr int kFp8Block = 128;   // rows and columns one fp32 scale covers
inline constexpr int kNvfp4Group = 16;  // columns one e4m3 scale covers

// One linear weight, y = x W^T. Pointers may be unaligned (the file format does not align 1-byte
// types): read through memcpy.
struct LinearView {
  std::string name;  // checkpoint name without ".weight", for messages
  WeightFormat format = WeightFormat::kBf16;
  int64_t out_features = 0;
  int64_t in_features = 0;
  const std::byte* data = nullptr;  // bf16: 2 B a value; fp8: 1 B; nvfp4: half a byte
  const std::byte* scales =
      nullptr;                // fp8: f32 [ceil(out/128), ceil(in/128)]; nvfp4: e4m3 [out, in/16]
  float global_scale = 1.0F;  // nvfp4: weight_scale_2
  float input_scale = 0.0F;   // nvfp4: activation scale of W4A4; 0 when the checkpoint has none
};

// One vector or small matrix that is never quantised.
enum class VectorType : uint8_t { kBf16, kF32 };
struct VectorView {
  std::string name;
  VectorType type = VectorType::kBf16;
  int64_t size = 0;
  const std::byte* data = nullptr;
};

// gate_proj, up_proj and down_proj of a dense MLP, of one routed expert or of the shared expert.
struct MlpView {
  LinearView gate_proj;
  LinearView up_proj;
  LinearView down_proj;
};

}  // namespace hadal
