#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "hadal/device/buffer.h"
#include "hadal/device/error.h"
#include "hadal/device/event.h"
#include "hadal/device/graph.h"
#include "hadal/device/nvtx.h"
#include "hadal/device/stream.h"

namespace hadal::device {
namespace {

std::vector<std::uint8_t> read_back(const DeviceBuffer& buffer, StreamView stream) {
  std::vector<std::uint8_t> bytes(buffer.size_bytes());
  EXPECT_TRUE(copy(bytes.data(), buffer.as<void>(), bytes.size(), stream));
  EXPECT_TRUE(stream.synchronize());
  return bytes;
}

TEST(DeviceBuffer, HoldsWhatIsCopiedAndFilled) {
  const Stream stream = std::move(Stream::create()).value();
  DeviceBuffer buffer = std::move(DeviceBuffer::allocate(1000)).value();
  ASSERT_TRUE(buffer.fill(0x5a, stream.view()));
  EXPECT_EQ(read_back(buffer, stream.view()), std::vector<std::uint8_t>(1000, 0x5a));
  DeviceBuffer moved = std::move(buffer);
  EXPECT_EQ(buffer.size_bytes(), 0u);
  EXPECT_EQ(read_back(moved, stream.view()).size(), 1000u);
}

TEST(DeviceBuffer, EmptyHasNoMemory) {
  EXPECT_EQ(std::move(DeviceBuffer::allocate(0)).value().as<void>(), nullptr);
}

TEST(DeviceBuffer, TooLargeIsRefusedWithNumbers) {
  const auto refused = DeviceBuffer::allocate(std::size_t{1} << 50);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  const auto works_afterwards = DeviceBuffer::allocate(1);
  EXPECT_TRUE(works_afterwards) << "the refusal left an error behind";
}

TEST(Graph, RepeatsTheRecordedWork) {
  const Stream stream = std::move(Stream::create()).value();
  DeviceBuffer buffer = std::move(DeviceBuffer::allocate(64)).value();
  ASSERT_TRUE(buffer.fill(1, stream.view()));
  const Graph graph = std::move(Graph::capture(stream.view(), [&] {
                        return buffer.fill(7, stream.view());
                      })).value();
  EXPECT_EQ(read_back(buffer, stream.view())[0], 1) << "capturing must not run the work";
  ASSERT_TRUE(graph.launch(stream.view()));
  EXPECT_EQ(read_back(buffer, stream.view())[63], 7);
}

TEST(Graph, FailedCaptureLeavesTheStreamUsable) {
  const Stream stream = std::move(Stream::create()).value();
  const auto failed = Graph::capture(stream.view(), []() -> Status {
    return Error{ErrorCode::kInternal, "planted"};
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "planted");
  DeviceBuffer buffer = std::move(DeviceBuffer::allocate(8)).value();
  ASSERT_TRUE(buffer.fill(3, stream.view()));
  EXPECT_EQ(read_back(buffer, stream.view())[0], 3);
}

TEST(Event, OrdersTwoStreamsAndMeasuresTime) {
  const NvtxRange range("event test");
  const Stream first = std::move(Stream::create()).value();
  const Stream second = std::move(Stream::create()).value();
  Event begin = std::move(Event::create(EventTiming::kOn)).value();
  Event end = std::move(Event::create(EventTiming::kOn)).value();
  DeviceBuffer buffer = std::move(DeviceBuffer::allocate(std::size_t{64} << 20)).value();
  ASSERT_TRUE(begin.record(first.view()));
  ASSERT_TRUE(buffer.fill(1, first.view()));
  ASSERT_TRUE(end.record(first.view()));
  ASSERT_TRUE(end.make_wait(second.view()));
  ASSERT_TRUE(buffer.fill(2, second.view()));
  ASSERT_TRUE(second.view().synchronize());
  EXPECT_TRUE(*end.passed());
  EXPECT_GT(*elapsed_us(begin, end), 0.0);
  EXPECT_EQ(read_back(buffer, second.view())[0], 2);
}

TEST(Error, NamesTheCallAndThePlace) {
  const Status failed = HADAL_CUDA_STATUS(cudaErrorInvalidValue);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kDevice);
  EXPECT_NE(failed.error().message.find("device_test.cpp"), std::string::npos);
}

}  // namespace
}  // namespace hadal::device
