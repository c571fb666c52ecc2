/* Preloaded into scheduler and workers: while $MODELHOP_CHAOS_DISK/slow exists, fsync and fdatasync wait as many
 * milliseconds as it says; while .../broken exists, they fail with EIO. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int number_in(const char* name, int* number) {
  const char* folder = getenv("MODELHOP_CHAOS_DISK");
  char path[4096];
  if (folder == NULL || snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return 0;
  FILE* file = fopen(path, "re");
  if (file == NULL) return 0;
  if (fscanf(file, "%d", number) != 1) *number = 0;
  fclose(file);
  return 1;
}

static int disturbed(void) {
  int number = 0;
  if (number_in("slow", &number) && number > 0 && number <= 60000) usleep((useconds_t)number * 1000u);
  return number_in("broken", &number);
}

#define DISTURBED(name)                                                \
  int name(int fd) {                                                   \
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, #name);          \
    if (disturbed()) {                                                 \
      errno = EIO;                                                     \
      return -1;                                                       \
    }                                                                  \
    return real(fd);                                                   \
  }

DISTURBED(fsync)
DISTURBED(fdatasync)
