/* The ptq runtime from C: loads a flat file, runs it on raw values, prints the best classes.
 *
 *   cc -std=c11 -I runtime/include examples/c/classify.c -L ptq_core/_runtime/host -lptq -o
 * classify LD_LIBRARY_PATH=ptq_core/_runtime/host ./classify MODEL.nb [INPUT]
 *
 * INPUT holds the values of the model's first input as they lie in memory (for a float model:
 * 32-bit floats); without it the input is zeros. Exit codes: 0 done; 2 a wrong argument, model or
 * input; 3 memory or threads are missing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ptq/ptq.h"

enum { kShown = 5 };

/* Limits of this program: a file may ask for far more than it is large. */
static const size_t kMostArena = (size_t)1 << 30;
static const uint64_t kMostWork = (uint64_t)1 << 38;

static int Fail(const char* what, ptq_status status) {
  fprintf(stderr, "classify: %s: %s\n", what, ptq_last_error());
  return status == PTQ_OUT_OF_MEMORY ? 3 : 2;
}

static int ReadInput(const char* path, void* to, size_t size) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) {
    perror(path);
    return 2;
  }
  const size_t count = fread(to, 1, size, file);
  const int more = fgetc(file) != EOF;
  fclose(file);
  if (count == size && !more) return 0;
  fprintf(stderr, "classify: %s: the model's input has %zu bytes\n", path, size);
  return 2;
}

/* The value of element `i`, whatever the type of the output. */
static float Value(const ptq_tensor_info* info, const void* data, size_t i) {
  switch (info->dtype) {
    case PTQ_FLOAT32:
      return ((const float*)data)[i];
    case PTQ_INT8:
      return info->scale * (float)(((const int8_t*)data)[i] - info->zero_point);
    default:
      return (float)((const int32_t*)data)[i];
  }
}

static size_t Elements(const ptq_tensor_info* info) {
  size_t elements = 1;
  for (int32_t d = 0; d < info->rank; ++d) elements *= (size_t)info->dims[d];
  return elements;
}

/* Prints the largest values of the output, best first, and where they are. */
static void PrintBest(const ptq_tensor_info* info, const void* data) {
  const size_t count = Elements(info);
  size_t best[kShown];
  size_t found = 0;
  for (size_t i = 0; i < count; ++i) {
    size_t at = found < kShown ? found++ : kShown;
    while (at > 0 && Value(info, data, i) > Value(info, data, best[at - 1])) {
      if (at < kShown) best[at] = best[at - 1];
      --at;
    }
    if (at < kShown) best[at] = i;
  }
  for (size_t i = 0; i < found; ++i)
    printf("%zu %.6g\n", best[i], (double)Value(info, data, best[i]));
}

static int Run(const ptq_program* program, const char* input_path) {
  ptq_tensor_info input, output;
  ptq_status status = ptq_program_input_info(program, 0, &input);
  if (status == PTQ_OK) status = ptq_program_output_info(program, 0, &output);
  if (status != PTQ_OK) return Fail("the model needs an input and an output", status);
  if (ptq_program_arena_bytes(program) > kMostArena || ptq_program_work(program) > kMostWork) {
    fprintf(stderr, "classify: the model asks for more memory or time than this program gives\n");
    return 2;
  }
  ptq_context* context = NULL;
  status = ptq_context_create(program, 2, &context);
  if (status != PTQ_OK) return Fail("context", status);
  int code = input_path == NULL
                 ? 0
                 : ReadInput(input_path, ptq_context_input(context, 0), input.size_bytes);
  if (code == 0) {
    status = ptq_run(context);
    if (status == PTQ_OK) {
      PrintBest(&output, ptq_context_output(context, 0));
    } else {
      code = Fail("run", status);
    }
  }
  ptq_context_destroy(context);
  return code;
}

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    fprintf(stderr, "usage: classify MODEL.nb [INPUT]\n");
    return 2;
  }
  if (ptq_api_version() / 1000 != PTQ_API_VERSION_MAJOR || ptq_api_version() < PTQ_API_VERSION) {
    fprintf(stderr, "classify: the library has API version %d, compiled for %d\n",
            (int)ptq_api_version(), PTQ_API_VERSION);
    return 3;
  }
  ptq_program* program = NULL;
  const ptq_status status = ptq_program_load(argv[1], &program);
  if (status != PTQ_OK) return Fail(argv[1], status);
  const int code = Run(program, argc == 3 ? argv[2] : NULL);
  ptq_program_destroy(program);
  return code;
}
