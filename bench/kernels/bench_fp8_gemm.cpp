// Dense FP8 products of one TP8 rank (and o_proj of a whole model) at 1 to 128 rows.
#include <fmt/format.h>

#include <algorithm>

#include "hadal/device/buffer.h"
#include "hadal/device/error.h"
#include "kernels/data.h"
#include "kernels/families.h"
#include "kernels/fp8_gemm/fp8_gemm.h"

namespace hadal::bench {
namespace {

using device::DeviceBuffer;
namespace fp8_gemm = kernels::fp8_gemm;

constexpr double kRotationBytes = 300e6;  // several times the cache

struct DenseShape {
  const char* name;
  int n;
  int k;
};
constexpr DenseShape kShapes[] = {{"q_a+kv_a 2112x7168", 2112, 7168},
                                  {"q_b 3072x1536", 3072, 1536},
                                  {"o_proj 7168x2048", 7168, 2048},
                                  {"mlp gate_up 4608x7168", 4608, 7168},
                                  {"mlp down 7168x2304", 7168, 2304}};

struct Buffers {
  DeviceBuffer weights, weight_scale, x, x_scale, out, partials, tickets;
};

std::size_t size(int a, int b) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
}

Result<Buffers> make_buffers(const DenseShape& shape, int sets, int blocks,
                             device::StreamView stream) {
  const int rows = fp8_gemm::kRowsMax;
  const std::size_t weight_bytes = size(shape.n, shape.k);
  const std::size_t scales = size((shape.n + 127) / 128, shape.k / 128);
  std::size_t partials = 0;
  for (int r = 1; r <= rows; ++r) {
    partials = std::max(partials, fp8_gemm::partial_floats(r, shape.n, shape.k, 0, blocks));
    partials = std::max(partials, fp8_gemm::partial_floats(r, shape.n, shape.k, 1, blocks));
  }
  Buffers b;
  HADAL_ASSIGN_OR_RETURN(b.weights,
                         DeviceBuffer::allocate(weight_bytes * static_cast<std::size_t>(sets)));
  HADAL_ASSIGN_OR_RETURN(b.weight_scale, DeviceBuffer::allocate(scales * 4));
  HADAL_ASSIGN_OR_RETURN(b.x, DeviceBuffer::allocate(size(rows, shape.k)));
  HADAL_ASSIGN_OR_RETURN(b.x_scale, DeviceBuffer::allocate(size(rows, shape.k / 128) * 4));
  HADAL_ASSIGN_OR_RETURN(b.out, DeviceBuffer::allocate(size(rows, shape.n) * 2));
  HADAL_ASSIGN_OR_RETURN(b.partials, DeviceBuffer::allocate(partials * 4));
  HADAL_ASSIGN_OR_RETURN(b.tickets,
                         DeviceBuffer::allocate(size(fp8_gemm::units(rows, shape.n), 4)));
  HADAL_RETURN_IF_CUDA_ERROR(
      fill_random_fp8(b.weights.as<std::uint8_t>(), b.weights.size_bytes(), 1, stream.handle));
  HADAL_RETURN_IF_CUDA_ERROR(
      fill_random_fp8(b.x.as<std::uint8_t>(), b.x.size_bytes(), 2, stream.handle));
  HADAL_RETURN_IF_CUDA_ERROR(
      fill_random_float(b.weight_scale.as<float>(), scales, 1e-4f, 3e-4f, 3, stream.handle));
  HADAL_RETURN_IF_CUDA_ERROR(fill_random_float(b.x_scale.as<float>(), size(rows, shape.k / 128),
                                               0.01f, 0.02f, 4, stream.handle));
  HADAL_RETURN_IF_ERROR(b.tickets.fill(0, stream));
  return b;
}

Case make_case(const DenseShape& shape, int rows, int sets, int split, const Buffers& b,
               int blocks) {
  fp8_gemm::Params params;
  params.stream.x = {b.x.as<std::uint8_t>(), b.x_scale.as<float>(), fp8_gemm::kRowsMax};
  params.stream.k = shape.k;
  params.stream.split_stages = split;
  params.stream.partials = b.partials.as<float>();
  params.stream.tickets = b.tickets.as<unsigned>();
  params.weight_scale = b.weight_scale.as<float>();
  params.out = b.out.as<__nv_bfloat16>();
  params.rows = rows;
  params.n = shape.n;
  const std::uint8_t* weights = b.weights.as<std::uint8_t>();
  const std::size_t weight_bytes = size(shape.n, shape.k);
  Case c;
  c.family = "fp8_gemm";
  c.shape = shape.name;
  c.tokens = rows;
  c.variant = split == 0 ? "sm90 balanced"
                         : fmt::format("sm90 {} parts", fp8_gemm::stages(shape.k) / split);
  c.bytes = static_cast<double>(weight_bytes) * (1 + 1.0 / 4096) +
            static_cast<double>(rows) * (shape.k * 1.03 + shape.n * 2);
  c.flops = 2.0 * rows * shape.n * shape.k;
  c.input_sets = sets;
  c.set_bytes = static_cast<double>(weight_bytes);
  c.enqueue = [=](int set, device::StreamView s) -> Status {
    fp8_gemm::Params p = params;
    p.weights = weights + weight_bytes * static_cast<std::size_t>(set);
    return HADAL_CUDA_STATUS(
        fp8_gemm::launch_sm90(p, blocks, kernels::LaunchOrder::kOverlapped, s.handle));
  };
  return c;
}

}  // namespace

Status bench_fp8_gemm(Session& session) {
  for (const DenseShape& shape : kShapes) {
    const int sets =
        static_cast<int>(kRotationBytes / static_cast<double>(size(shape.n, shape.k))) + 1;
    HADAL_ASSIGN_OR_RETURN(const Buffers buffers,
                           make_buffers(shape, sets, session.multiprocessors, session.stream));
    const int split = fp8_gemm::choose_split(shape.n, shape.k, session.multiprocessors,
                                             fp8_gemm::SplitFor::kSpeed);
    for (const int rows : {1, 8, 16, 32, 64, 128}) {
      HADAL_RETURN_IF_ERROR(
          run_case(session, make_case(shape, rows, sets, split, buffers, session.multiprocessors)));
    }
    const int fixed = fp8_gemm::choose_split(shape.n, shape.k, session.multiprocessors,
                                             fp8_gemm::SplitFor::kFixed);
    for (const int other : {0, fixed}) {
      if (other != split)
        HADAL_RETURN_IF_ERROR(
            run_case(session, make_case(shape, 8, sets, other, buffers, session.multiprocessors)));
    }
  }
  return {};
}

}  // namespace hadal::bench
