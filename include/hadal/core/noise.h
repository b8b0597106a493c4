// The noise of a draw, a pure function of what is drawn: Gumbel-max sampling takes
//   argmax over ids of  logit[id] + gumbel_noise(seed, choice, position, id)
// after temperature, top-k and top-p. It does not depend on batch, step, scheduling mode, number of
// drafts or tensor-parallel degree, which is what makes speculative and plain decoding give the
// same stream.
//
// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) with
//   key     = seed (low word, high word)
//   counter = (id / 4, position, choice, kStreamSampling); output word id % 4.
// The choice index sits in the counter because the key holds 64 bits. CUDA has a twin; both have
// the paper's test vectors.
#pragma once

#include <array>
#include <cstdint>

namespace hadal {

inline constexpr uint32_t kStreamSampling =
    0;  // draws of target tokens (and of drafts that share its noise)
inline constexpr uint32_t kStreamSynthetic = 1;  // coins of the synthetic acceptance mode

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// A uniform in (0, 1) from one word: (word / 2^9 + 0.5) * 2^-23, exact in fp32 and never 0 or 1.
float uniform_from(uint32_t word);

// -log(-log(u)). `position` is the absolute position of the token drawn, not of the row that draws
// it.
float gumbel_noise(uint64_t seed, uint32_t choice, uint32_t position, uint32_t id);

}  // namespace hadal
