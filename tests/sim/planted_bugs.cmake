# The simulator must catch these mistakes. Each is one replacement in a copy of a source file, compiled into
# a simulator of its own, so that the product carries no switches for them. A text that is no longer found
# stops the configuration: the bug has to be planted anew.

add_library(hadal_sim_main OBJECT main.cpp)
target_link_libraries(hadal_sim_main PRIVATE hadal_sim_episodes CLI11::CLI11)

# hadal_planted_bug(<name> <source below src> <text> <replacement>)
function(hadal_planted_bug name source)
  set(original ${CMAKE_SOURCE_DIR}/src/${source})
  set(planted ${CMAKE_CURRENT_BINARY_DIR}/planted/${name}.cpp)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${original})
  file(READ ${original} text)
  string(FIND "${text}" "${ARGV2}" first)
  string(FIND "${text}" "${ARGV2}" last REVERSE)
  if(first EQUAL -1 OR NOT first EQUAL last)
    message(FATAL_ERROR "planted bug ${name}: src/${source} must contain exactly once: ${ARGV2}")
  endif()
  string(REPLACE "${ARGV2}" "${ARGV3}" text "${text}")
  file(CONFIGURE OUTPUT ${planted} CONTENT "${text}" @ONLY)
  add_executable(hadal_sim_${name} $<TARGET_OBJECTS:hadal_sim_main> ${planted})
  target_include_directories(hadal_sim_${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(hadal_sim_${name} PRIVATE hadal_sim_episodes CLI11::CLI11 OpenSSL::Crypto)
  add_test(NAME sim/planted/${name} COMMAND hadal_sim_${name} --expect-failure)
  set_tests_properties(sim/planted/${name} PROPERTIES LABELS sim TIMEOUT 300)
endfunction()

hadal_planted_bug(leak_on_cancel scheduler/scheduler.cpp
  [[  cache_.release(sequence.pages);]]
  [[  if (sequence.samples_in_flight == 0) cache_.release(sequence.pages);]])
hadal_planted_bug(double_free_on_preemption scheduler/scheduler_plan.cpp
  [[  leave_running(sequence);
  sequence.phase = Phase::kWaiting;]]
  [[  PageTable again = sequence.pages;
  leave_running(sequence);
  cache_.release(again);
  sequence.phase = Phase::kWaiting;]])
hadal_planted_bug(plan_reused_early scheduler/scheduler.cpp
  [[steps_(options.steps_in_flight_max + 1)]]
  [[steps_(std::max(options.steps_in_flight_max - 1, 1))]])
hadal_planted_bug(drafts_trimmed_near_end scheduler/scheduler_plan.cpp
  [[  step.plan.drafts = options_.drafts;]]
  [[  step.plan.drafts = options_.drafts;
  for (const Sequence* s : running_) {
    step.plan.drafts = std::min(step.plan.drafts, s->sampling.max_tokens - s->output() - 1);
  }]])
hadal_planted_bug(re_entry_before_late_results scheduler/scheduler_plan.cpp
  [[  if (sequence.steps_in_flight > 0) {]]
  [[  if (sequence.samples_in_flight < 0) {]])
hadal_planted_bug(lookup_without_pin kv_cache/kv_cache.cpp
  [[  for (const PageKey& key : keys) {
    const PageId page = *state_->index.find(key);
    state_->pool.hold(page);
    table.pages_.push_back(page);
  }
  table.published_ = found;
  HADAL_CHECK(try_extend(table, positions), "the pages were counted before");]]
  [[  for (const PageKey& key : keys) table.pages_.push_back(*state_->index.find(key));
  table.published_ = found;
  HADAL_CHECK(try_extend(table, positions), "the pages were counted before");
  for (int32_t i = 0; i < found; ++i) state_->pool.hold(table.pages_[i]);]])
hadal_planted_bug(no_draft_look_ahead scheduler/scheduler_plan.cpp
  [[  return std::max(options_.drafts_max - 1, 0);]]
  [[  return 0;]])
hadal_planted_bug(page_key_without_next_token kv_cache/page_key.cpp
  [[  sha256.add(std::as_bytes(std::span(&next, 1)));]]
  [[  static_cast<void>(next);]])
