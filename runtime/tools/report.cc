// What benchmark_bin leaves behind.
#include "tools/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/math.h"
#include "tools/limits.h"

namespace ptq {
namespace {

#if defined(__aarch64__)
constexpr const char* kAbi = "arm64-v8a";
#elif defined(__arm__)
constexpr const char* kAbi = "armeabi-v7a";
#elif defined(__x86_64__)
constexpr const char* kAbi = "x86_64";
#elif defined(__i386__)
constexpr const char* kAbi = "x86";
#else
constexpr const char* kAbi = "unknown";
#endif

// Writes beside the target and renames: a reader never sees half a file.
class ReplacedFile {
 public:
  ReplacedFile() = default;
  ReplacedFile(const ReplacedFile&) = delete;
  ReplacedFile& operator=(const ReplacedFile&) = delete;
  ~ReplacedFile() {
    if (file_ == nullptr) return;
    fclose(file_);
    unlink(temporary_);
  }

  ptq_status Open(const char* path) {
    path_ = path;
    const int length =
        snprintf(temporary_, sizeof temporary_, "%s.%ld.tmp", path, static_cast<long>(getpid()));
    if (length < 0 || static_cast<size_t>(length) >= sizeof temporary_)
      return Fail(PTQ_IO_ERROR, "%.120s: too long a name", path);
    file_ = fopen(temporary_, "wb");
    return file_ != nullptr ? PTQ_OK
                            : Fail(PTQ_IO_ERROR, "cannot write %.200s: %s", path, strerror(errno));
  }

  ptq_status Commit() {
    const bool good = ferror(file_) == 0;
    const bool closed = fclose(file_) == 0;
    file_ = nullptr;
    if (good && closed && rename(temporary_, path_) == 0) return PTQ_OK;
    const int error = errno;
    unlink(temporary_);
    return Fail(PTQ_IO_ERROR, "cannot write %.200s: %s", path_, strerror(error));
  }

  FILE* file() { return file_; }

 private:
  const char* path_ = nullptr;
  char temporary_[4096];
  FILE* file_ = nullptr;
};

void PrintString(FILE* out, const char* text) {
  fputc('"', out);
  for (const char* p = text; *p != '\0'; ++p) {
    const unsigned char c = static_cast<unsigned char>(*p);
    if (c == '"' || c == '\\') {
      fprintf(out, "\\%c", c);
    } else if (c < 0x20) {
      fprintf(out, "\\u%04x", c);
    } else {
      fputc(c, out);
    }
  }
  fputc('"', out);
}

void PrintResultLine(FILE* out, size_t sample_count, const Measurement& model) {
  const char* slash = strrchr(model.path, '/');
  double least = model.samples_ms[0], most = least, sum = 0;
  for (size_t i = 0; i < sample_count; ++i) {
    least = Min(least, model.samples_ms[i]);
    most = Max(most, model.samples_ms[i]);
    sum += model.samples_ms[i];
  }
  fprintf(out, "%-30smin = %.5f  max = %.5f  average = %.5f\n",
          slash != nullptr ? slash + 1 : model.path, least, most,
          sum / static_cast<double>(sample_count));
}

void PrintOps(FILE* out, const Measurement& model) {
  fprintf(out, ",\n     \"ops\": [");
  for (size_t i = 0; i < ptq_program_op_count(model.program); ++i) {
    ptq_op_info info;
    if (ptq_program_op_info(model.program, i, &info) != PTQ_OK) continue;
    fprintf(out, "%s\n      {\"name\": ", i == 0 ? "" : ",");
    PrintString(out, info.name);
    fprintf(out,
            ", \"kind\": \"%s\", \"kernel\": \"%s\", \"macs\": %" PRIu64 ", \"mean_us\": %.3f}",
            info.kind, info.kernel, info.macs, model.op_us[i]);
  }
  fprintf(out, "]");
}

void PrintModel(FILE* out, size_t sample_count, const Measurement& model) {
  fprintf(out, "    {\"path\": ");
  PrintString(out, model.path);
  fprintf(out,
          ", \"load_ms\": %.5f, \"first_ms\": %.5f, \"arena_bytes\": %zu, \"file_bytes\": %" PRIu64
          ",\n     \"samples_ms\": [",
          model.load_ms, model.first_ms, ptq_program_arena_bytes(model.program), model.file_bytes);
  for (size_t i = 0; i < sample_count; ++i)
    fprintf(out, "%s%.5f", i == 0 ? "" : ", ", model.samples_ms[i]);
  fprintf(out, "],\n     \"output_crc32\": \"%08" PRIx32 "\"", model.output_crc32);
  if (model.op_us != nullptr) PrintOps(out, model);
  fprintf(out, "}");
}

// VmHWM of this program. getrusage's ru_maxrss would also count what the parent had before exec.
int64_t PeakResidentBytes() {
  FILE* status = fopen("/proc/self/status", "r");
  if (status == nullptr) return 0;
  char line[256];
  long long kilobytes = 0;
  while (fgets(line, sizeof line, status) != nullptr) {
    if (sscanf(line, "VmHWM: %lld kB", &kilobytes) == 1) break;
  }
  fclose(status);
  return kilobytes * 1024;
}

void PrintJson(FILE* out, const BenchmarkFlags& flags, const Measurements& all) {
  fprintf(out,
          "{\"schema\": 2, \"tool\": \"benchmark_bin\", \"version\": \"%s\", \"abi\": \"%s\", "
          "\"cpu_features\": \"%s\",\n"
          " \"threads\": %" PRId64 ", \"warmup\": %" PRId64 ", \"repeats\": %" PRId64
          ", \"stopped\": \"%s\""
          ",\n \"models\": [\n",
          ptq_version(), kAbi, ptq_cpu_features(), flags.threads, flags.warmup, flags.repeats,
          all.stopped);
  for (size_t i = 0; i < all.models.size(); ++i) {
    if (i > 0) fprintf(out, ",\n");
    PrintModel(out, all.sample_count, all.models[i]);
  }
  fprintf(out, "],\n \"peak_rss_bytes\": %" PRId64 "}\n", PeakResidentBytes());
}

}  // namespace

ptq_status WriteResultLines(const BenchmarkFlags& flags, const Measurements& all) {
  const bool json_on_stdout = strcmp(flags.json, "-") == 0;
  for (const Measurement& model : all.models) {
    if (!json_on_stdout) PrintResultLine(stdout, all.sample_count, model);
  }
  if (flags.result_filename[0] == '\0') return PTQ_OK;
  FILE* out = fopen(flags.result_filename, "ab");
  if (out == nullptr)
    return Fail(PTQ_IO_ERROR, "cannot write %.200s: %s", flags.result_filename, strerror(errno));
  for (const Measurement& model : all.models) PrintResultLine(out, all.sample_count, model);
  if (fclose(out) == 0) return PTQ_OK;
  return Fail(PTQ_IO_ERROR, "cannot write %.200s: %s", flags.result_filename, strerror(errno));
}

ptq_status WriteJson(const BenchmarkFlags& flags, const Measurements& all) {
  if (flags.json[0] == '\0') return PTQ_OK;
  if (strcmp(flags.json, "-") == 0) {
    PrintJson(stdout, flags, all);
    return PTQ_OK;
  }
  ReplacedFile out;
  PTQ_RETURN_IF_ERROR(out.Open(flags.json));
  PrintJson(out.file(), flags, all);
  return out.Commit();
}

ptq_status DumpOutputs(const BenchmarkFlags& flags, const Measurements& all) {
  if (flags.dump_output[0] == '\0') return PTQ_OK;
  ReplacedFile out;
  PTQ_RETURN_IF_ERROR(out.Open(flags.dump_output));
  const Measurement& model = all.models[0];
  for (size_t i = 0; i < ptq_program_output_count(model.program); ++i) {
    ptq_tensor_info info;
    PTQ_RETURN_IF_ERROR(ptq_program_output_info(model.program, i, &info));
    fwrite(ptq_context_output(model.context, i), 1, info.size_bytes, out.file());
  }
  return out.Commit();
}

void PrintProfile(const Measurements& all) {
  const double megahertz = CoreMegahertz();
  for (const Measurement& model : all.models) {
    if (model.op_us == nullptr) continue;
    double total = 0;
    for (size_t i = 0; i < ptq_program_op_count(model.program); ++i) total += model.op_us[i];
    fprintf(stderr, "%s: %.1f us, core clock %.2f GHz\n", model.path, total, megahertz / 1000);
    fprintf(stderr, "  %13s %7s %9s %9s %6s  %-16s %-28s %s\n", "time", "", "MMAC", "MAC/cycle",
            "limit", "kind", "kernel", "name");
    for (size_t i = 0; i < ptq_program_op_count(model.program); ++i) {
      ptq_op_info info;
      if (ptq_program_op_info(model.program, i, &info) != PTQ_OK) continue;
      const double macs = static_cast<double>(info.macs), us = Max(model.op_us[i], 1e-3),
                   rate = macs / us / megahertz, peak = PeakMacsPerCycle(info.kernel);
      fprintf(stderr, "  %10.1f us %5.1f %%", us, 100 * us / total);
      if (macs > 0) {
        fprintf(stderr, " %9.2f %9.2f", macs * 1e-6, rate);
      } else {
        fprintf(stderr, " %9s %9s", "", "");
      }
      if (macs > 0 && peak > 0) {
        fprintf(stderr, " %4.0f %%", 100 * rate / peak);
      } else {
        fprintf(stderr, " %6s", "");
      }
      fprintf(stderr, "  %-16s %-28s %s\n", info.kind, info.kernel, info.name);
    }
  }
}

}  // namespace ptq
