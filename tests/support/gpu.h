// What every GPU test needs: a stream, arrays on the device, random operands. Errors of the device
// abort the test program: nothing after one can be trusted.
#pragma once

#include <cuda_bf16.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <utility>
#include <vector>

#include "hadal/device/buffer.h"
#include "hadal/device/error.h"
#include "hadal/device/stream.h"
#include "reference/kernels/fp8.h"
#include "reference/kernels/fp8_product.h"

namespace hadal::test {

inline void must(const Status& status) {
  HADAL_CHECK(status.ok(), "{}", status.ok() ? "" : status.error().message);
}
inline void must(cudaError_t code) {
  must(device::status_of(code, "launch", "test", 0));
}

template <typename T>
T must(Result<T> result) {
  HADAL_CHECK(result.ok(), "{}", result.ok() ? "" : result.error().message);
  return std::move(result).value();
}

// Fresh data each run; HADAL_TEST_SEED repeats one.
inline unsigned test_seed() {
  static const unsigned seed = [] {
    const char* given = std::getenv("HADAL_TEST_SEED");
    const unsigned value = given != nullptr
                               ? static_cast<unsigned>(std::strtoul(given, nullptr, 10))
                               : std::random_device{}();
    std::printf("HADAL_TEST_SEED=%u\n", value);
    return value;
  }();
  return seed;
}

inline int multiprocessors() {
  int count = 0;
  must(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, 0));
  return count;
}

// A typed array on the device.
template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  // Filled with 0xff: NaN as a float, a half or an e4m3 value, negative as an index. What a kernel
  // fails to write, or reads without right, shows.
  DeviceArray(std::size_t count, device::StreamView stream)
      : buffer_(must(device::DeviceBuffer::allocate(count * sizeof(T)))), count_(count) {
    if (count > 0) must(buffer_.fill(0xff, stream));
  }
  DeviceArray(const std::vector<T>& values, device::StreamView stream)
      : DeviceArray(values.size(), stream) {
    if (count_ > 0) must(device::copy(get(), values.data(), count_ * sizeof(T), stream));
    must(stream.synchronize());
  }
  T* get() const { return buffer_.as<T>(); }
  std::size_t size() const { return count_; }
  std::vector<T> read(device::StreamView stream) const {
    std::vector<T> values(count_);
    if (count_ > 0) must(device::copy(values.data(), get(), count_ * sizeof(T), stream));
    must(stream.synchronize());
    return values;
  }
  void zero(device::StreamView stream) { must(buffer_.fill(0, stream)); }

 private:
  device::DeviceBuffer buffer_;
  std::size_t count_ = 0;
};

// Finite e4m3 values, roughly normal, spread over most exponents as weights are.
inline std::vector<std::uint8_t> random_fp8(std::size_t count, std::mt19937& random) {
  std::vector<std::uint8_t> pool(1 << 16);
  std::normal_distribution<float> normal(0.0f, 60.0f);
  for (std::uint8_t& x : pool) x = reference::float_to_fp8(normal(random));
  std::vector<std::uint8_t> values(count);
  for (std::uint8_t& x : values) x = pool[random() & 0xffff];
  return values;
}
inline std::vector<float> random_scales(std::size_t count, float typical, std::mt19937& random) {
  std::uniform_real_distribution<float> spread(0.5f * typical, 1.5f * typical);
  std::vector<float> values(count);
  for (float& x : values) x = spread(random);
  return values;
}

inline reference::Fp8Matrix random_rows(int rows, int k, std::mt19937& random) {
  reference::Fp8Matrix x;
  x.rows = rows;
  x.k = k;
  x.stride = (rows + 7) / 8 * 8;
  x.data = random_fp8(static_cast<std::size_t>(rows) * static_cast<std::size_t>(k), random);
  x.scale = random_scales(static_cast<std::size_t>(k / 128 * x.stride), 0.01f, random);
  return x;
}
inline reference::Fp8Weight random_weight(int n, int k, std::mt19937& random) {
  reference::Fp8Weight w;
  w.n = n;
  w.k = k;
  w.data = random_fp8(static_cast<std::size_t>(n) * static_cast<std::size_t>(k), random);
  w.scale = random_scales(static_cast<std::size_t>((n + 127) / 128 * (k / 128)), 1e-3f, random);
  return w;
}

inline double to_double(__nv_bfloat16 x) {
  return static_cast<double>(__bfloat162float(x));
}
inline double to_double(float x) {
  return static_cast<double>(x);
}

// Compares element by element against value and bound, and over all elements by the cosine of the
// two vectors, which sees what a loose bound would hide. Prints the worst element.
class Comparison {
 public:
  void add(double found, double wanted, double bound) {
    const bool same_kind = std::isfinite(found) == std::isfinite(wanted);
    const double excess = same_kind ? std::fabs(found - wanted) / (bound + 1e-30) : INFINITY;
    if (!(excess <= worst_)) {
      worst_ = excess;
      worst_index_ = count_;
      worst_found_ = found;
      worst_wanted_ = wanted;
    }
    if (std::isfinite(found) && std::isfinite(wanted)) {
      dot_ += found * wanted;
      found_square_ += found * found;
      wanted_square_ += wanted * wanted;
      error_square_ += (found - wanted) * (found - wanted);
    }
    ++count_;
  }
  // `relative_error_max` bounds ||found - wanted|| / ||wanted||.
  void expect_close(double relative_error_max) const {
    EXPECT_LE(worst_, 1.0) << "element " << worst_index_ << " of " << count_ << ": found "
                           << worst_found_ << ", wanted " << worst_wanted_;
    if (wanted_square_ > 0) {
      EXPECT_LE(std::sqrt(error_square_ / wanted_square_), relative_error_max);
      EXPECT_GE(dot_ / std::sqrt(found_square_ * wanted_square_), 1.0 - relative_error_max);
    }
  }
  std::size_t count() const { return count_; }
  double relative_error() const { return std::sqrt(error_square_ / wanted_square_); }

 private:
  double worst_ = 0;
  double worst_found_ = 0;
  double worst_wanted_ = 0;
  double dot_ = 0;
  double found_square_ = 0;
  double wanted_square_ = 0;
  double error_square_ = 0;
  std::size_t worst_index_ = 0;
  std::size_t count_ = 0;
};

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace hadal::test
