#include "cli/cli.h"

int main(int argc, char** argv) { return modelhop::cli::run_cli(argc, argv); }
