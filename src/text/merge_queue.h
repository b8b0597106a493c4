// The merges that are possible in one piece, in the order in which BPE applies them: by rank, then
// from left to right.
//
// A heap would do, at the price of a cache miss or two for every level. But a merge makes a token
// that later (higher) ranks join further, save for rare exceptions. So the queue keeps one list of
// indices per rank: the lowest rank's list is taken out, put in order once and worked through while
// the others grow. What arrives for that rank or a lower one goes to a small heap beside it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <queue>
#include <vector>

namespace hadal {

class MergeQueue {
 public:
  struct Entry {
    uint32_t rank = 0;
    uint32_t index = 0;
    auto operator<=>(const Entry&) const = default;
  };

  void push(Entry entry) {
    if (entry.rank > rank_ || !started_) {
      later_[entry.rank].push_back(entry.index);
    } else {
      exceptions_.push(entry);
    }
  }

  // Takes the first entry; false if there is none.
  bool pop(Entry& entry) {
    if (next_ == indices_.size() && exceptions_.empty() && !take_next_rank()) return false;
    const bool from_list =
        next_ < indices_.size() &&
        (exceptions_.empty() || Entry{rank_, indices_[next_]} < exceptions_.top());
    if (from_list) {
      entry = {rank_, indices_[next_++]};
    } else {
      entry = exceptions_.top();
      exceptions_.pop();
    }
    return true;
  }

 private:
  bool take_next_rank() {
    if (later_.empty()) return false;
    auto list = later_.extract(later_.begin());
    started_ = true;
    rank_ = list.key();
    indices_ = std::move(list.mapped());
    next_ = 0;
    if (!std::ranges::is_sorted(indices_)) std::ranges::sort(indices_);
    return true;
  }

  std::map<uint32_t, std::vector<uint32_t>> later_;  // ranks above rank_ → indices
  bool started_ = false;                             // rank_ and indices_ mean something
  uint32_t rank_ = 0;
  std::vector<uint32_t> indices_;                                              // of rank_, in order
  size_t next_ = 0;                                                            // into indices_
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> exceptions_;  // ranks <= rank_
};

}  // namespace hadal
