/* settings_table.c - every setting of the program, one row per key. Bounds are inclusive; "0, 0" means none. */
#include "base/settings.h"

#define BACKBONES "vgg16|resnet18|resnet50|densenet121|densenet169|efficientnet_b0|efficientnet_b1"
#define INT SETTING_INT
#define FLOAT SETTING_FLOAT
#define BOOL SETTING_BOOL
#define STRING SETTING_STRING
#define CHOICE SETTING_CHOICE

/* clang-format off */
const struct setting_row settings_table[] = {
    /* key, type, default, min, max, choices, help */

    /* model: what is trained */
    {"model.backbone", CHOICE, "resnet18", 0, 0, BACKBONES, "convolutional network under the head"},
    {"model.method", CHOICE, "ladnn", 0, 0, "ladnn|baseline", "with the lesion branch, or diagnosis only"},

    /* train: a training run */
    {"train.data", STRING, "", 0, 0, 0, "folder of HDF5 shards made by ladnn pack"},
    {"train.out", STRING, "", 0, 0, 0, "run folder: record, predictions and checkpoints"},
    {"train.epochs", INT, "15", 1, 100000, 0, "passes over the training split"},
    {"train.batch", INT, "32", 1, 65536, 0, "images per step over all ranks"},
    {"train.seed", INT, "1", 0, 9007199254740992.0, 0, "seed of initial weights, order, augmentation and dropout"},
    {"train.precision", CHOICE, "fp32", 0, 0, "fp32|bf16", "type of activations and of the weights used in a step"},
    {"train.backend", CHOICE, "cpu", 0, 0, "cpu|cuda|ref", "what computes: the CPU, an NVIDIA GPU per rank, or the plain loops that define the operations"},
    {"train.capture", BOOL, "true", 0, 0, 0, "GPU: record a step once and repeat it as one; false = queue each call, with the same bits"},
    {"train.threads", INT, "0", 0, 4096, 0, "compute threads per rank; 0 = cores of the node / ranks on it"},
    {"train.deterministic", BOOL, "false", 0, 0, 0, "the same bits for any number of ranks that divides virtual_shards"},
    {"train.virtual_shards", INT, "4", 1, 4096, 0, "fixed parts of a batch, summed in fixed order when deterministic"},
    {"train.loss", CHOICE, "bce", 0, 0, "bce|softmax", "LA-DNN's weighted binary losses, or He 2020's softmax"},
    {"train.covid_weight", FLOAT, "5", 0, 1e6, 0, "weight of the COVID term beside the five lesion terms"},
    {"train.max_steps", INT, "0", 0, 1e12, 0, "end this call after so many steps, with a checkpoint; 0 = no limit"},
    {"train.time_limit_s", FLOAT, "0", 0, 1e9, 0, "stop with a checkpoint after so many seconds; 0 = no limit"},
    {"train.checkpoint_every_s", FLOAT, "600", 0, 1e9, 0, "seconds between checkpoints; 0 = only at the end of an epoch"},
    {"train.checkpoint_keep", INT, "2", 1, 1000, 0, "newest checkpoints that are kept"},
    {"train.resume", BOOL, "true", 0, 0, 0, "continue from the newest whole checkpoint; false = begin anew and remove the checkpoints"},
    {"train.eval_batch", INT, "16", 1, 65536, 0, "images per evaluation step and rank"},
    {"train.stop_signal", CHOICE, "term", 0, 0, "none|term|usr1|usr2", "signal on which all ranks stop with a checkpoint; unless none, TERM is one, too"},
    {"train.overwrite", BOOL, "false", 0, 0, 0, "begin anew in a run folder that holds another run"},
    {"train.lead_s", FLOAT, "0", 0, 86400, 0, "seconds between that signal and the end of the job: is it enough for a stop? 0 = unknown"},
    {"train.take_over", BOOL, "false", 0, 0, 0, "a run folder that another process works in: end it there and take its place, instead of refusing"},
    {"train.take_over_s", FLOAT, "60", 0, 86400, 0, "seconds that take_over waits for the other process before it goes on without it"},
    {"train.vote_last", INT, "0", 0, 1000, 0, "test with the mean probabilities of the last k epochs (He 2020); 0 = off"},

    {"train.init", STRING, "", 0, 0, 0, "initial weights: a file made by ladnn weights import, or a run's best.h5; its head only when it has the outputs wanted"},
    {"train.freeze", INT, "0", -1, 9, 0, "leading stages that stay as they are, statistics included: 1 = the stem, 2 = and the first stage ...; -1 = all but the head"},

    /* test: how predictions are made and judged, at the end of a run and by eval */
    {"test.flip", BOOL, "false", 0, 0, 0, "predict each picture and its mirror image, and take the mean of the probabilities"},
    {"test.threshold", STRING, "0.5", 0, 0, 0, "a COVID probability from which on an image is positive; youden or f1 = chosen on the validation split by that figure"},

    /* optim: optimiser and schedule */
    {"optim.name", CHOICE, "adam", 0, 0, "adam|sgd", "optimiser"},
    {"optim.lr", FLOAT, "5e-5", 0, 100, 0, "learning rate at the start"},
    {"optim.weight_decay", FLOAT, "5e-4", 0, 10, 0, "L2 term added to the gradient"},
    {"optim.beta1", FLOAT, "0.9", 0, 0.999999999, 0, "Adam: decay of the mean of gradients"},
    {"optim.beta2", FLOAT, "0.999", 0, 0.999999999, 0, "Adam: decay of the mean of squared gradients"},
    {"optim.eps", FLOAT, "1e-8", 1e-30, 1, 0, "Adam: added to the denominator"},
    {"optim.momentum", FLOAT, "0.9", 0, 0.999999999, 0, "SGD: momentum"},
    {"optim.schedule", CHOICE, "constant", 0, 0, "constant|cosine", "course of the learning rate over the epochs"},
    {"optim.cosine_period", INT, "10", 1, 100000, 0, "epochs from the highest to the lowest rate (T_max)"},
    {"optim.clip_norm", FLOAT, "0", 0, 1e9, 0, "largest L2 norm of the whole gradient; 0 = off"},

    {"optim.head_lr_factor", FLOAT, "1", 0, 1e6, 0, "learning rate of the head (the last layer) as a multiple of optim.lr"},
    {"optim.layer_decay", FLOAT, "1", 1e-6, 1, 0, "factor of the learning rate from each stage to the one before it; 1 = the same for all"},

    /* gpu: train.backend, bench.backend or eval.backend = cuda */
    {"gpu.tune", INT, "4", 1, 64, 0, "engines of cuDNN that are timed for each convolution; 1 = its first choice (always when deterministic)"},
    {"gpu.tf32", BOOL, "false", 0, 0, 0, "fp32: products with 10 bits of mantissa, on tensor cores"},
    {"gpu.sums", CHOICE, "fused", 0, 0, "fused|apart", "bf16: a convolution sums its output for batch normalisation where cuDNN can, or own kernels always do"},

    /* augment: what happens to a training image */
    {"augment.recipe", CHOICE, "affine", 0, 0, "affine|crop|none", "affine (LA-DNN), random crop (He 2020), or resize only"},
    {"augment.size", INT, "224", 32, 1024, 0, "pixels a side of the network's input"},
    {"augment.flip", FLOAT, "0.5", 0, 1, 0, "probability of a left-right flip"},
    {"augment.scale_min", FLOAT, "0.8", 0.01, 100, 0, "affine: smallest scale"},
    {"augment.scale_max", FLOAT, "1.2", 0.01, 100, 0, "affine: largest scale"},
    {"augment.shear_degrees", FLOAT, "0.2", 0, 89, 0, "affine: largest shear angle, degrees"},
    {"augment.crop_scale_min", FLOAT, "0.5", 0.001, 1, 0, "crop: smallest share of the area"},
    {"augment.crop_resize", INT, "256", 32, 2048, 0, "crop: pixels of the shorter side before cropping"},

    /* dist: several ranks */
    {"dist.sync_bn", BOOL, "true", 0, 0, 0, "batch statistics over all ranks instead of each rank's own"},
    {"dist.bucket_mb", FLOAT, "25", 0.001, 4096, 0, "size of a gradient bucket, MiB"},
    {"dist.timeout_s", FLOAT, "60", 1, 86400, 0, "seconds without progress of a rank, or of a GPU, before the run is ended"},
    {"dist.gradients", CHOICE, "fp32", 0, 0, "fp32|bf16", "GPUs: type in which NCCL sums gradients; bf16 = half the bytes, rounded at every rank"},
    {"dist.overlap", BOOL, "true", 0, 0, 0, "reduce gradients while backward still runs"},
    {"dist.backend", CHOICE, "auto", 0, 0, "auto|self|mpi|nccl", "how ranks talk; auto = MPI when a launcher started them, and NCCL between GPUs"},

    /* loader: from shards to batches */
    {"loader.threads", INT, "1", 1, 1024, 0, "threads per rank that read and augment"},
    {"loader.prefetch", INT, "2", 1, 1024, 0, "batches made ready ahead"},
    {"loader.cache", BOOL, "true", 0, 0, 0, "keep images in memory, one copy per host, when they fit"},
    {"loader.cache_mb", INT, "0", 0, 1e9, 0, "most memory of the cache per host, MiB; 0 = half of what is free at the start"},

    /* pack: image folder and CSV to shards */
    {"pack.in", STRING, "", 0, 0, 0, "folder of the data set"},
    {"pack.out", STRING, "", 0, 0, 0, "folder for the shards"},
    {"pack.manifest", STRING, "", 0, 0, 0, "CSV with columns file, patient, covid, GGO, Csld, CrPa, AirBr, InSepThi (0 or 1), and split, figure if known"},
    {"pack.images", STRING, "", 0, 0, 0, "folder that the file names of the manifest are relative to; none = the manifest's own"},
    {"pack.preset", CHOICE, "none", 0, 0, "none|covid-ct|imagefolder", "layout of a known data set; imagefolder = two class folders, COVID and not"},
    {"pack.merge", STRING, "", 0, 0, 0, "instead: folders of shards to unite under a new split by patient, separated by commas"},
    {"pack.positive", STRING, "", 0, 0, 0, "imagefolder: the class that is COVID; empty = the one called covid, positive, 1 ..."},
    {"pack.patient", STRING, "", 0, 0, 0, "imagefolder: expression whose first group in a file's name is the patient"},
    {"pack.split", CHOICE, "keep", 0, 0, "keep|make", "make = divide patients 60/15/25, labels in proportion; also when none is given"},
    {"pack.seed", INT, "1", 0, 2147483647, 0, "seed of a split that is made"},
    {"pack.name", STRING, "d0", 0, 0, 0, "name of the data set: first part of the shard names"},
    {"pack.size", INT, "256", 0, 8192, 0, "pixels a side of stored images; 0 = original size"},
    {"pack.shards", INT, "0", 0, 99999, 0, "shards per split; 0 = one per 512 images or 96 MiB"},
    {"pack.strict", BOOL, "false", 0, 0, 0, "stop when any file is unreadable, unlabelled or a duplicate"},
    {"pack.by_figure", BOOL, "false", 0, 0, 0, "treat the source figure like a patient when checking the splits"},
    {"pack.filter", CHOICE, "none", 0, 0, "none|gzip", "lossless HDF5 filter of the pixels"},
    {"pack.colour", CHOICE, "auto", 0, 0, "auto|grey|rgb", "stored channels; auto = a shard is grey when all its pictures are"},
    {"pack.window", STRING, "", 0, 0, 0, "what of DICOM (HU) and 16-bit grey becomes 0..255: lung, mediastinum, CENTRE/WIDTH; none = the file's own, or the high byte"},
    {"pack.afresh", BOOL, "false", 0, 0, 0, "begin anew instead of continuing an interrupted packing"},
    {"pack.threads", INT, "0", 0, 1024, 0, "threads per rank; 0 = the cores the rank may use"},

    /* inspect: what a shard, folder or tensor file holds */
    {"inspect.path", STRING, "", 0, 0, 0, "file or folder"},
    {"inspect.verify", BOOL, "false", 0, 0, 0, "read every image and compare the checksums"},
    {"inspect.json", BOOL, "false", 0, 0, 0, "print JSON"},
    {"inspect.sheet", STRING, "", 0, 0, 0, "write a contact sheet of random pictures with their labels to this PNG"},
    {"inspect.samples", INT, "24", 1, 600, 0, "pictures on the sheet"},
    {"inspect.seed", INT, "1", 0, 2147483647, 0, "which pictures"},

    /* phantom: a made-up data set */
    {"phantom.out", STRING, "", 0, 0, 0, "folder for images and manifest"},
    {"phantom.seed", INT, "1", 0, 9007199254740992.0, 0, "seed of the pictures"},
    {"phantom.dataset", CHOICE, "both", 0, 0, "d0|d1|both", "which of the paper's data sets to imitate"},
    {"phantom.scale", FLOAT, "1", 1e-4, 1000, 0, "share of the real image counts, for tests"},
    {"phantom.threads", INT, "0", 0, 4096, 0, "threads; 0 = all cores"},

    /* eval: a finished run on a split */
    {"eval.run", STRING, "", 0, 0, 0, "run folder"},
    {"eval.data", STRING, "", 0, 0, 0, "folder of shards; none = the one the run was trained on"},
    {"eval.split", CHOICE, "test", 0, 0, "train|val|test", "split to evaluate"},
    {"eval.out", STRING, "", 0, 0, 0, "folder for predictions.csv; none = standard output has the metrics only"},
    {"eval.batch", INT, "16", 1, 65536, 0, "images per step and rank"},
    {"eval.backend", CHOICE, "run", 0, 0, "run|cpu|cuda|ref", "what computes; run = what the run was trained on"},
    {"eval.threads", INT, "0", 0, 4096, 0, "compute threads per rank; 0 = cores of the node / ranks on it"},

    /* explain: where a network looks */
    {"explain.run", STRING, "", 0, 0, 0, "run folder"},
    {"explain.out", STRING, "", 0, 0, 0, "folder for pictures, maps.h5 and explain.csv; new, or empty"},
    {"explain.what", CHOICE, "covid", 0, 0, "covid|GGO|Csld|CrPa|AirBr|InSepThi", "the output that is explained"},
    {"explain.method", CHOICE, "gradcam++", 0, 0, "gradcam++|gradcam", "Chattopadhyay et al. 2018, or Selvaraju et al. 2017"},
    {"explain.eps", FLOAT, "1e-6", 0, 1, 0, "gradcam++: added to the denominator of alpha; 1e-6 as pytorch-grad-cam, 0 as in the paper"},
    {"explain.data", STRING, "", 0, 0, 0, "folder of shards; none = the one the run was trained on"},
    {"explain.split", CHOICE, "test", 0, 0, "train|val|test", "split whose images are explained"},
    {"explain.files", STRING, "", 0, 0, 0, "only these images of the split: names as in the manifest, or their last parts, separated by commas"},
    {"explain.count", INT, "0", 0, 1e9, 0, "only so many images, evenly spread; 0 = all"},
    {"explain.in", STRING, "", 0, 0, 0, "instead: a picture file, or a folder of them; they are prepared as the shards' pictures were"},
    {"explain.window", STRING, "", 0, 0, 0, "in: what of DICOM (HU) and 16-bit grey becomes 0..255, as in pack; none = as the shards' pictures"},
    {"explain.against", STRING, "", 0, 0, 0, "another run folder: figure5.png shows both runs' maps side by side"},
    {"explain.faithfulness", BOOL, "false", 0, 0, 0, "also deletion and insertion AUC, of the map and of one without meaning: 4 (steps + 1) passes an image"},
    {"explain.steps", INT, "20", 1, 10000, 0, "faithfulness: equal parts of the pixels that are changed one after the other"},
    {"explain.seed", INT, "1", 0, 9007199254740992.0, 0, "faithfulness: of the maps without meaning, and of the order of equal pixels"},
    {"explain.batch", INT, "16", 1, 65536, 0, "images per step"},
    {"explain.backend", CHOICE, "run", 0, 0, "run|cpu|cuda|ref", "what computes; run = what the run was trained on"},
    {"explain.threads", INT, "0", 0, 4096, 0, "compute threads; 0 = all cores"},

    /* report: a page from finished runs */
    {"report.runs", STRING, "", 0, 0, 0, "folder that holds the run folders, or a grid"},
    {"report.out", STRING, "", 0, 0, 0, "folder for report.html, tables and figures"},
    {"report.data", STRING, "", 0, 0, 0, "folders of shards, separated by commas, for what the runs' own data folder no longer has"},
    {"report.maps", STRING, "", 0, 0, 0, "folders made by ladnn explain RUN --against RUN2, separated by commas: their sheets are the page's figure 5"},
    {"report.png", BOOL, "true", 0, 0, 0, "write the figures as PNG, too (needs cairo)"},
    {"report.seed", INT, "1", 0, 9007199254740992.0, 0, "seed of the bootstrap"},

    /* bench: speed of this machine */
    {"bench.what", CHOICE, "train", 0, 0, "train|infer|pack|load", "training steps, inference, pictures to shards, or images from shards"},
    {"bench.data", STRING, "", 0, 0, 0, "load: folder of shards; pack: folder of pictures"},
    {"bench.backbone", CHOICE, "resnet18", 0, 0, BACKBONES "|all", "convolutional network under the head"},
    {"bench.batch", INT, "16", 1, 65536, 0, "images per step"},
    {"bench.steps", INT, "5", 1, 1000000, 0, "measured steps; load: passes over the training split"},
    {"bench.warmup", INT, "2", 0, 1000000, 0, "steps before the measured ones"},
    {"bench.precision", CHOICE, "fp32", 0, 0, "fp32|bf16", "type of activations and of the weights used in a step"},
    {"bench.backend", CHOICE, "cpu", 0, 0, "cpu|cuda|ref", "what computes: the CPU, a GPU, or the plain loops that define the operations"},
    {"bench.threads", INT, "0", 0, 4096, 0, "compute threads; 0 = all cores"},
    {"bench.deterministic", BOOL, "false", 0, 0, 0, "compute as train.deterministic does: the same bits on any number of threads"},
    {"bench.size", INT, "224", 32, 1024, 0, "pixels a side of the network's input"},
    {"bench.kinds", BOOL, "false", 0, 0, 0, "GPU: queue and wait for each layer instead of recording the step, and tell the time of each kind"},
    {"bench.json", BOOL, "false", 0, 0, 0, "print JSON"},

    /* weights: files of weights in and out */
    {"weights.what", CHOICE, "show", 0, 0, "show|import|export", "list a file's tensors, make initial weights of a published file, or write a run's weights for others"},
    {"weights.file", STRING, "", 0, 0, 0, "file (.safetensors, .pth, .pt, our own .h5); export: run folder"},
    {"weights.backbone", CHOICE, "none", 0, 0, "none|" BACKBONES, "import: the network that the file is of"},
    {"weights.out", STRING, "", 0, 0, 0, "file to write"},
    {"weights.partial", BOOL, "false", 0, 0, 0, "import: go on when tensors are missing or of no use; they are listed either way"},
    {"weights.format", CHOICE, "safetensors", 0, 0, "safetensors|onnx", "export: what to write"},
    {"weights.json", BOOL, "false", 0, 0, 0, "print JSON"},

    /* grid: many training runs */
    {"grid.what", CHOICE, "plan", 0, 0, "plan|submit|run|status|retry|cell", "print the cells, submit them to Slurm, run them here, look at them, submit failed and stale ones again; cell = one of them (for Slurm's array tasks)"},
    {"grid.file", STRING, "", 0, 0, 0, "grid file: lists of data sets, backbones, methods, seeds, and settings"},
    {"grid.out", STRING, "runs", 0, 0, 0, "folder of the run folders, one a cell"},
    {"grid.shards", STRING, "", 0, 0, 0, "folder that the data folders of the grid file are relative to; none = the current one"},
    {"grid.only", STRING, "", 0, 0, 0, "cells whose names match, with * and ?; several patterns are separated by commas"},
    {"grid.jobs", INT, "1", 1, 4096, 0, "run: cells at the same time"},
    {"grid.gpus", INT, "0", 0, 1024, 0, "run: GPUs of this machine, dealt to the cells in turn; 0 = leave it to CUDA_VISIBLE_DEVICES"},
    {"grid.ranks", INT, "1", 1, 65536, 0, "ranks of a cell"},
    {"grid.launcher", CHOICE, "auto", 0, 0, "auto|none|mpirun|srun", "what starts the ranks; auto = nothing for one rank, srun in a Slurm job where it knows PMIx, else mpirun"},
    {"grid.launcher_options", STRING, "", 0, 0, 0, "more words for the launcher, separated by blanks"},
    {"grid.attempts", INT, "50", 1, 100000, 0, "starts of a cell after which it is given up"},
    {"grid.crashes", INT, "3", 1, 1000, 0, "crashes in a row at the same step after which a cell is given up"},
    {"grid.local", BOOL, "false", 0, 0, 0, "retry: run the cells here instead of submitting them"},
    {"grid.dry_run", BOOL, "false", 0, 0, 0, "submit, retry: print what would be submitted"},
    {"grid.watch", BOOL, "false", 0, 0, 0, "status: again every two seconds until all cells have ended"},
    {"grid.json", BOOL, "false", 0, 0, 0, "plan, status: print JSON"},
    {"grid.tasks", STRING, "", 0, 0, 0, "cell: file with a cell's name a line"},
    {"grid.index", INT, "0", 0, 1e9, 0, "cell: which line, from 0"},

    /* slurm: how cells are submitted */
    {"slurm.templates", STRING, "", 0, 0, 0, "folder with array.sbatch and collect.sbatch; none = slurm/ of the source"},
    {"slurm.partition", STRING, "", 0, 0, 0, "partition; none = Slurm's default"},
    {"slurm.account", STRING, "", 0, 0, 0, "account; none = Slurm's default"},
    {"slurm.qos", STRING, "", 0, 0, 0, "quality of service; none = Slurm's default"},
    {"slurm.time", STRING, "04:00:00", 0, 0, 0, "time limit of an attempt at a cell, as sbatch takes it"},
    {"slurm.nodes", INT, "1", 1, 65536, 0, "nodes of a cell"},
    {"slurm.gpus_per_rank", INT, "0", 0, 16, 0, "GPUs of a rank; 1 with train.backend = cuda"},
    {"slurm.cpus_per_rank", INT, "1", 1, 4096, 0, "cores of a rank"},
    {"slurm.memory", STRING, "", 0, 0, 0, "memory of a node, as sbatch takes it (\"32G\"); none = Slurm's default"},
    {"slurm.throttle", INT, "0", 0, 1e6, 0, "most cells of an array at the same time; 0 = no limit"},
    {"slurm.max_array", INT, "1000", 1, 1e6, 0, "most cells of one array: below the cluster's MaxArraySize"},
    {"slurm.signal", CHOICE, "usr2", 0, 0, "usr2|usr1|term", "warning before the time limit (not usr1 with NCCL, which has caught it)"},
    {"slurm.lead_s", INT, "120", 1, 65535, 0, "seconds from the warning to the end: time for one step and one checkpoint"},
    {"slurm.setup", STRING, "", 0, 0, 0, "shell line of every job before ladnn, e.g. \"module load openmpi cuda\""},
    {"slurm.options", STRING, "", 0, 0, 0, "more options of sbatch, separated by blanks"},
    {"slurm.collect_options", STRING, "", 0, 0, 0, "the same for the collecting job"},

    /* doctor: what was found on this machine */
    {"doctor.json", BOOL, "false", 0, 0, 0, "print JSON"},

    {0, INT, 0, 0, 0, 0, 0}};
/* clang-format on */
