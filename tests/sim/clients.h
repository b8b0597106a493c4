// The clients of an episode: they check every token they get against what their request gets alone,
// and they cancel and stop. Throws std::logic_error at the first wrong event.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "sim/scenario.h"

namespace hadal::sim {

class Clients final : public OutputSink {
 public:
  explicit Clients(const Scenario& scenario) : scenario_(scenario) {}

  // What a client wants from the engine now.
  struct Wish {
    int64_t due_turn = 0;
    RequestId request{};
    int64_t finish_at = -1;  // -1: cancel
  };

  void arrived(RequestId id, const Arrival& arrival, bool accepted);
  void deliver(const OutputEvent& event) override;
  void engine_failed() { failed_ = true; }

  // Wishes that are due; made by arrivals and deliveries.
  std::vector<Wish> take_wishes(int64_t turn);

  // Called with every plan when it is submitted: requests enter in order of arrival.
  void check_entries(const StepPlan& plan);

  int64_t arrivals() const { return arrivals_; }
  int64_t rejected() const { return rejected_; }
  int64_t ended() const { return ended_; }
  int64_t tokens() const { return tokens_; }
  void check_all_ended() const;

 private:
  struct Client {
    Arrival arrival;
    test::Prefix prefix = test::kEmptyPrefix;
    int64_t delivered = 0;
    bool ended = false;
    bool cancel_asked = false;
    int64_t finish_asked = -1;
    RowEnd model_end = RowEnd::kNone;  // of its last token
  };

  void take_token(Client& client, TokenId token);
  void check_end(const Client& client, const OutputEvent& event) const;

  const Scenario& scenario_;
  int64_t turn_ = 0;
  std::map<RequestId, Client> clients_;  // not ended
  std::set<RequestId> never_entered_;
  std::deque<RequestId> by_index_;  // index of the arrival (its noise seed) to id
  std::vector<Wish> wishes_;
  bool failed_ = false;
  int64_t arrivals_ = 0, rejected_ = 0, ended_ = 0, tokens_ = 0;
};

}  // namespace hadal::sim
