// Records the calling thread's launches as data: function, argument bytes, (storage id, byte offset) per
// operand. A recording holds ids, not memory, except for what was made outside of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/allocator.h"
#include "plan/plan.h"

namespace lamina {

class Recording {
 public:
  // Launches that touch an input's storage are bound to the argument of that number at each replay.
  explicit Recording(std::vector<Tensor> inputs = {});
  ~Recording();
  Recording(const Recording&) = delete;

  void append(const Launch& l);
  // The layer that later launches belong to.
  void set_label(const std::string& label);
  // Whether a tensor's values may be read now: only of data made during the recording that no launch touched.
  bool may_read(const Tensor& t) const;
  // Whether a launch wrote into the storage of this id.
  bool writes(uint64_t storage) const;
  // What the launches computed into `outputs` becomes the results of a replay. The recording is empty
  // afterwards.
  std::unique_ptr<Plan> close(const std::vector<Tensor>& outputs, std::shared_ptr<Arena> arena);

 private:
  friend void forget_storage(uint64_t id);
  struct Launched {
    GraphLaunch launch;
    std::vector<uint64_t> storages;
  };
  struct Buffer {
    Storage* alive;  // null once dead
    size_t bytes;
    // Held where the values came from outside: a launch read it, or wrote over what was there.
    StoragePtr held;
    bool written = false;
  };
  uint32_t input_of(uint64_t storage) const;
  Role role_of(uint64_t id, const Buffer& b, const std::vector<Tensor>& outputs) const;

  BlocksPass blocks_pass_;  // replays have memory of their own
  std::vector<Tensor> inputs_;
  uint64_t first_own_id_;  // storages from this id on were made during the recording
  std::vector<Launched> launches_;
  std::vector<std::string> labels_{""};
  uint32_t label_ = 0;
  std::unordered_map<uint64_t, Buffer> buffers_;
  mutable std::mutex mutex_;
};

// The calling thread's open recording, or null. At most one per thread.
Recording* open_recording();
void set_open_recording(Recording* recording);

// Launches in this scope run but are not recorded: what they write is data to the recording.
class RecordingPaused {
 public:
  RecordingPaused() : open_(open_recording()) { set_open_recording(nullptr); }
  ~RecordingPaused() { set_open_recording(open_); }
  RecordingPaused(const RecordingPaused&) = delete;

 private:
  Recording* open_;
};

}  // namespace lamina
