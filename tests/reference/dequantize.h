// Checkpoint weights to fp32, straight from the definitions of the formats.
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/checkpoint/weight_view.h"

namespace hadal::reference {

float from_bf16(uint16_t bits);
// e4m3 without infinity: sign, 4 exponent bits of bias 7, 3 mantissa bits; 0x7F and 0xFF are NaN.
float from_e4m3(uint8_t code);
// e2m1: sign, 2 exponent bits of bias 1, 1 mantissa bit. The low 4 bits of `code`.
float from_e2m1(unsigned code);

// [out_features, in_features]
std::vector<float> dequantize(const LinearView& view);
std::vector<float> dequantize(const VectorView& view);

}  // namespace hadal::reference
