// plan: divides the pages of all rows among the parts of the grid. One of three rules applies:
//
//   fixed    split_pages > 0: every row is cut at the multiples of split_pages; parts take
//            consecutive segments of about equal cost
//   equal    no more segments than parts: every row is cut into equal segments of at most T pages,
//   T
//            as small as the parts allow; one segment a part
//   shares   otherwise: the rows' costs are laid end to end and cut at the parts' equal shares. All
//            cuts move to the nearest end of a row if that costs no part much, because splitting a
//            row costs the writing and reading of its partial sums; else those close to one do
//
//   cost    | row 0     | row 1 | row 2            | row 3 |     shares
//   parts   |   0   |   1   |   2   |   3   |   4   |
//
// A row costs its pages plus one for fetching queries and writing sums. One block, one thread a row
// and one a part; a few microseconds, once a step for all layers.
#include "kernels/common/pdl.cuh"
#include "kernels/mla/mla.h"

namespace hadal::kernels::mla {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / 32;
constexpr int kSegmentCost = 1;  // in pages
constexpr int kSnapShare = 16;   // a cut moves by at most 1 / 16 of a share
constexpr int kExcess = 8;       // for the sake of fewer splits a part may have 1 / 8 too much
static_assert(kRowsMax <= kThreads && kPartsMax < kThreads, "one thread a row and one a part");

struct Shared {
  int pages[kRowsMax];
  int cost_begin[kRowsMax + 1];
  int first_segment[kRowsMax + 1];
  int cuts[kRowsMax];          // shares: cuts inside the row
  int first_cut[kRowsMax];     // shares: the first part that begins inside the row
  int cut_page[kPartsMax];     // shares: where in its row a part begins
  int cut_row[kPartsMax + 1];  // shares: the row that begins nearest to where a part should
  int scan[kWarps];
};

// The sum of `value` over the threads before this one; `total` over all.
__device__ int exclusive_scan(int value, int& total, Shared& shared) {
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  int sum = value;
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const int below = __shfl_up_sync(~0u, sum, distance);
    if (lane >= distance) sum += below;
  }
  __syncthreads();  // the last use of `scan` is over
  if (lane == 31) shared.scan[warp] = sum;
  __syncthreads();
  const int of_warp = shared.scan[lane];
  total = __reduce_add_sync(~0u, of_warp);
  return sum - value + __reduce_add_sync(~0u, lane < warp ? of_warp : 0);
}

__device__ int sum_of_all(int value, Shared& shared) {
  int total;
  exclusive_scan(value, total, shared);
  return total;
}

struct Row {
  int token_begin = 0;
  int token_count = 0;
  int slot = -1;
  int entries = 0;

  __device__ int pages() const { return (entries + kPageTokens - 1) / kPageTokens; }
};

__device__ Row read_row(const Rows& rows, int row) {
  Row r;
  r.token_begin = rows.row_starts[row];
  r.token_count = rows.row_starts[row + 1] - r.token_begin;
  if (r.token_count == 0 || rows.slots[r.token_begin] < 0) return r;
  r.slot = rows.slots[r.token_begin];
  r.entries = rows.positions[r.token_begin] + r.token_count;
  return r;
}

// Segments of a row of `pages` pages, none longer than `unit`; an empty row is one segment too.
__device__ int segments_of(int pages, int unit) {
  return max(1, (pages + unit - 1) / unit);
}

// The smallest T for which the rows make no more segments than there are parts. REQUIRES: rows <=
// parts.
__device__ int equal_unit(int pages, bool is_row, int pages_all, int parts, Shared& shared) {
  int low = max(1, (pages_all + parts - 1) / parts);
  int high = max(low, pages_all);
  while (low < high) {
    const int middle = low + (high - low) / 2;
    const int count = sum_of_all(is_row ? segments_of(pages, middle) : 0, shared);
    if (count <= parts) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// The row that holds `cost`. REQUIRES: 0 <= cost < cost_begin[rows].
__device__ int row_at(const Shared& shared, int rows, int cost) {
  int low = 0;
  int high = rows - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (shared.cost_begin[middle] <= cost) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

struct Cut {
  int row;
  int page;
};

__device__ int share_begin(int part, int parts, int cost_all) {
  return static_cast<int>(static_cast<long long>(cost_all) * part / parts);
}

// Where part `part` begins by the rule of shares, before and after moving it to a row's end.
__device__ int nearest_row_end(const Shared& shared, int rows, int part, int parts, int cost_all) {
  const int cost = share_begin(part, parts, cost_all);
  const int row = row_at(shared, rows, cost);
  const int page = cost - shared.cost_begin[row];
  return 2 * page <= shared.pages[row] + kSegmentCost ? row : row + 1;
}
__device__ Cut share_cut(const Shared& shared, int rows, int part, int parts, int cost_all) {
  const int cost = share_begin(part, parts, cost_all);
  const int row = row_at(shared, rows, cost);
  const int page = cost - shared.cost_begin[row];
  const int slack = cost_all / parts / kSnapShare;
  if (page <= slack) return {row, 0};
  if (page >= shared.pages[row] - slack) return {row + 1, 0};
  return {row, page};
}

enum class Rule { kFixed, kEqual, kShares };

// What one thread knows of its row and of its part. The steps run in the order of run(), each by
// all threads.
class Planner {
 public:
  __device__ Planner(const PlanParams& params, Shared& shared)
      : p_(params),
        shared_(shared),
        me_(static_cast<int>(threadIdx.x)),
        rows_(params.rows.rows),
        is_row_(me_ < rows_),
        is_part_(me_ < params.parts) {}

  __device__ void run() {
    if (is_row_) row_ = read_row(p_.rows, me_);
    choose_rule();
    lay_out_costs();
    if (rule_ == Rule::kShares) cut_shares();
    number_segments();
    if (is_row_) write_row();
    if (is_part_) p_.plan.part_starts[me_] = first_segment_of_part();
  }

 private:
  __device__ void choose_rule() {
    const int pages_all = sum_of_all(row_.pages(), shared_);
    rule_ = p_.split_pages > 0 ? Rule::kFixed : Rule::kShares;
    unit_ = max(p_.split_pages, 1);
    if (rule_ == Rule::kFixed || rows_ > p_.parts) return;
    const int longest = equal_unit(row_.pages(), is_row_, pages_all, p_.parts, shared_);
    const int share = (pages_all + rows_) / p_.parts + 1;
    if (longest > share + share / kExcess) return;
    rule_ = Rule::kEqual;
    unit_ = max(1, ceil_div(row_.pages(), segments_of(row_.pages(), longest)));
  }

  __device__ void lay_out_costs() {
    count_ = !is_row_ ? 0 : rule_ == Rule::kShares ? 1 : segments_of(row_.pages(), unit_);
    const int cost = row_.pages() + count_ * kSegmentCost;
    const int before = exclusive_scan(cost, cost_all_, shared_);
    if (is_row_) {
      shared_.pages[me_] = row_.pages();
      shared_.cost_begin[me_] = before;
      shared_.cuts[me_] = 0;
      shared_.first_cut[me_] = p_.parts;
    }
    if (me_ == 0) shared_.cost_begin[rows_] = cost_all_;
    __syncthreads();
  }

  // Whether the parts stay near their share if every cut moves to the nearest end of a row.
  __device__ bool whole_rows_balance() {
    if (me_ <= p_.parts) {
      shared_.cut_row[me_] =
          is_part_ && rows_ > 0 ? nearest_row_end(shared_, rows_, me_, p_.parts, cost_all_) : rows_;
    }
    __syncthreads();
    const int share = cost_all_ / p_.parts;
    bool near_share = true;
    if (is_part_) {
      const int cost =
          shared_.cost_begin[shared_.cut_row[me_ + 1]] - shared_.cost_begin[shared_.cut_row[me_]];
      near_share = cost <= share + share / kExcess + 1;
    }
    return __syncthreads_and(near_share) != 0;
  }

  __device__ void cut_shares() {
    const bool whole_rows = whole_rows_balance();
    cut_ = {rows_, 0};
    if (is_part_ && rows_ > 0) {
      cut_ = whole_rows ? Cut{shared_.cut_row[me_], 0}
                        : share_cut(shared_, rows_, me_, p_.parts, cost_all_);
      shared_.cut_page[me_] = cut_.page;
      if (cut_.page > 0) {
        atomicAdd(&shared_.cuts[cut_.row], 1);
        atomicMin(&shared_.first_cut[cut_.row], me_);
      }
    }
    __syncthreads();
    if (is_row_) count_ += shared_.cuts[me_];
  }

  __device__ void number_segments() {
    int splits;
    int partials;
    first_segment_ = exclusive_scan(count_, segments_, shared_);
    split_ = exclusive_scan(count_ > 1 ? 1 : 0, splits, shared_);
    first_partial_ = exclusive_scan(count_ > 1 ? count_ : 0, partials, shared_);
    if (is_row_) shared_.first_segment[me_] = first_segment_;
    if (me_ == 0) {
      shared_.first_segment[rows_] = segments_;
      p_.plan.part_starts[p_.parts] = segments_;
      *p_.plan.split_count = splits;
    }
    __syncthreads();
  }

  // The page where segment `j` of this thread's row ends.
  __device__ int segment_end(int j) const {
    if (j + 1 == count_) return row_.pages();
    return rule_ == Rule::kShares ? shared_.cut_page[shared_.first_cut[me_] + j] : (j + 1) * unit_;
  }

  __device__ void write_row() const {
    int page = 0;
    for (int j = 0; j < count_; ++j) {
      const int end = segment_end(j);
      const int partial = count_ > 1 ? first_partial_ + j : -1;
      p_.plan.segments[first_segment_ + j] = {
          row_.token_begin, row_.token_count, row_.slot, row_.entries, page, end, partial, 0};
      page = end;
    }
    if (count_ > 1) {
      p_.plan.split_rows[split_] = {row_.token_begin, row_.token_count, first_partial_, count_};
    }
  }

  __device__ int first_segment_of_part() const {
    if (rule_ == Rule::kEqual) return min(me_, segments_);
    if (rows_ == 0) return 0;
    if (rule_ == Rule::kShares) {
      const int inside = cut_.page > 0 ? me_ - shared_.first_cut[cut_.row] + 1 : 0;
      return shared_.first_segment[cut_.row] + inside;
    }
    const int cost = share_begin(me_, p_.parts, cost_all_);
    const int row = row_at(shared_, rows_, cost);
    const int inside = ceil_div(cost - shared_.cost_begin[row], unit_ + kSegmentCost);
    return min(shared_.first_segment[row] + inside, shared_.first_segment[row + 1]);
  }

  const PlanParams& p_;
  Shared& shared_;
  int me_;
  int rows_;
  bool is_row_;
  bool is_part_;
  Rule rule_ = Rule::kShares;
  int unit_ = 1;      // fixed, equal: most pages of one segment of this row
  int cost_all_ = 0;  // of all rows
  int segments_ = 0;  // of all rows
  Row row_;           // this thread's row:
  int count_ = 0;     // its segments
  int first_segment_ = 0;
  int first_partial_ = 0;
  int split_ = 0;     // its place among the split rows
  Cut cut_ = {0, 0};  // where this thread's part begins
};

__global__ void __launch_bounds__(kThreads) plan_kernel(PlanParams params) {
  __shared__ Shared shared;
  wait_for_predecessor();
  let_successor_start();
  Planner(params, shared).run();
}

}  // namespace

cudaError_t launch_plan(const PlanParams& params, LaunchOrder order, cudaStream_t stream) {
  if (params.rows.rows < 0 || params.rows.rows > kRowsMax || params.parts < 1 ||
      params.parts > kPartsMax || params.split_pages < 0) {
    return cudaErrorInvalidValue;
  }
  return launch(plan_kernel, params, {.blocks = 1, .threads = kThreads}, order, stream);
}

}  // namespace hadal::kernels::mla
