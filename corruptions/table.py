"""The severities of every corruption, with the source of each number, and the kernels.

Plain literals only, because DVC reads this file as parameters: a changed row reruns the stages of its own corruption
and no others. A row names its kernel and has one strength for each severity, 1 to 5. Units:

- ``std``: standard deviation, fraction of the full range        - ``amount``: fraction of the pixels
- ``radius``, ``sigma``: pixels                                  - ``percents``, ``percent``: percent
- ``delta``: rise of the HSV value, fraction of the full range
- ``rise``: of the HSV saturation, percent of the full range     - ``exponent``: of gamma, a number
- ``spread``, ``depth``, ``slope``, ``fraction``: fraction of what the kernel changes
- ``coefficient``, ``falloff``: of the shading, a number           - ``count``, ``max_bubbles``: how many
- ``max_radius``: pixels
- ``alpha``: pixels, of noise before its blur                    - ``shift``: pixels
- ``photons``: mean count of a white pixel                        - ``size``, ``alias_blur``, ``max_delta``: pixels

Sources: [HD] Hendrycks & Dietterich, ICLR 2019 (ImageNet-C). [MM] Di Salvo et al., MICCAI 2024
(MedMNIST-C), the table for the same kind of image; [MM:name] another table of that paper. [new] chosen here.
"""

BYTES_VERSION = 1
"""Format version of the corrupted images. If any byte of a result changes, raise it and remake the golden checksums."""

STRENGTHS = {
    # The same strengths for every data set.
    "imagenet-c": {
        "gaussian_noise": {"kernel": "gaussian_noise", "std": [0.08, 0.12, 0.18, 0.26, 0.38], "source": "HD"},
        "impulse_noise": {"kernel": "impulse_noise", "amount": [0.03, 0.06, 0.09, 0.17, 0.27], "source": "HD"},
        "motion_blur": {
            "kernel": "motion_blur",
            "radius": [10, 15, 15, 15, 20],
            "sigma": [3, 5, 8, 12, 15],
            "source": "HD",
        },
        "zoom_blur": {
            "kernel": "zoom_blur",
            "percents": [
                [100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111],
                [100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115],
                [100, 102, 104, 106, 108, 110, 112, 114, 116, 118, 120],
                [100, 102, 104, 106, 108, 110, 112, 114, 116, 118, 120, 122, 124],
                [100, 103, 106, 109, 112, 115, 118, 121, 124, 127, 130],
            ],
            "source": "HD",
        },
        "brightness": {"kernel": "add_value", "delta": [0.1, 0.2, 0.3, 0.4, 0.5], "source": "HD"},
        "contrast": {"kernel": "channel_mean", "percent": [40, 30, 20, 10, 5], "source": "HD"},
        "pixelate": {"kernel": "pixelate", "percent": [60, 50, 40, 30, 25], "source": "HD"},
    },
    # Strengths tuned to each kind of image; "imagenet-c" stands for the row above, for one kind or for all.
    "modality": {
        "gaussian_noise": {
            "microscopy": {"kernel": "gaussian_noise", "std": [0.04, 0.08, 0.12, 0.18, 0.26], "source": "MM:derma"},
            "fundus": {"kernel": "gaussian_noise", "std": [0.04, 0.08, 0.12, 0.16, 0.20], "source": "MM"},
            "mammography": {"kernel": "gaussian_noise", "std": [0.04, 0.08, 0.12, 0.18, 0.26], "source": "MM:chest"},
            "oct": {"kernel": "gaussian_noise", "std": [0.04, 0.08, 0.12, 0.16, 0.20], "source": "new"},
            "xray": {"kernel": "gaussian_noise", "std": [0.04, 0.05, 0.06, 0.07, 0.08], "source": "MM"},
        },
        "impulse_noise": {
            "microscopy": {"kernel": "impulse_noise", "amount": [0.01, 0.03, 0.06, 0.09, 0.17], "source": "MM:derma"},
            "fundus": {"kernel": "impulse_noise", "amount": [0.01, 0.03, 0.06, 0.09, 0.17], "source": "MM:derma"},
            "mammography": {"kernel": "impulse_noise", "amount": [0.01, 0.03, 0.06, 0.09, 0.17], "source": "MM:chest"},
            "oct": {"kernel": "impulse_noise", "amount": [0.01, 0.02, 0.03, 0.05, 0.08], "source": "MM:organ"},
            "xray": {"kernel": "impulse_noise", "amount": [0.005, 0.01, 0.013, 0.017, 0.02], "source": "MM"},
        },
        "motion_blur": {
            "microscopy": {
                "kernel": "motion_blur",
                "radius": [3, 5, 10, 10, 15],
                "sigma": [3, 5, 7, 9, 12],
                "source": "MM and new",
            },
            "fundus": "imagenet-c",
            "mammography": {
                "kernel": "motion_blur",
                "radius": [5, 9, 13, 17, 20],
                "sigma": [5, 7, 10, 12, 15],
                "source": "MM and new",
            },
            "oct": {
                "kernel": "motion_blur",
                "radius": [10, 15, 15, 15, 20],
                "sigma": [3, 5, 8, 12, 15],
                "source": "MM, equal to HD",
            },
            "xray": {
                "kernel": "motion_blur",
                "radius": [5, 9, 13, 17, 20],
                "sigma": [5, 7, 10, 12, 15],
                "source": "new",
            },
        },
        "zoom_blur": "imagenet-c",
        "brightness": {
            "microscopy": {"kernel": "scale", "percent": [110, 120, 130, 135, 140], "source": "MM"},
            "fundus": {"kernel": "scale", "percent": [90, 80, 70, 60, 50], "source": "MM"},
            "mammography": {"kernel": "scale", "percent": [110, 120, 130, 140, 150], "source": "MM:chest"},
            "oct": {"kernel": "scale", "percent": [120, 130, 140, 150, 160], "source": "new"},
            "xray": {"kernel": "scale", "percent": [110, 120, 130, 140, 150], "source": "MM"},
        },
        "contrast": {
            "microscopy": {"kernel": "luma_mean", "percent": [90, 80, 70, 60, 50], "source": "MM"},
            "fundus": {"kernel": "luma_mean", "percent": [90, 80, 70, 60, 40], "source": "MM"},
            "mammography": {"kernel": "luma_mean", "percent": [90, 80, 70, 60, 40], "source": "MM"},
            "oct": {"kernel": "luma_mean", "percent": [60, 40, 30, 20, 15], "source": "MM"},
            "xray": {"kernel": "luma_mean", "percent": [90, 80, 70, 60, 40], "source": "MM"},
        },
        "pixelate": {
            "microscopy": {"kernel": "pixelate", "percent": [60, 50, 40, 30, 25], "source": "MM"},
            "fundus": {"kernel": "pixelate", "percent": [80, 60, 50, 40, 35], "source": "MM"},
            "mammography": {"kernel": "pixelate", "percent": [30, 25, 20, 15, 10], "source": "MM"},
            "oct": {"kernel": "pixelate", "percent": [30, 25, 20, 15, 10], "source": "MM"},
            "xray": {"kernel": "pixelate", "percent": [80, 70, 60, 50, 40], "source": "MM"},
        },
    },
}
"""Profile to corruption to its row, or to its rows by column."""

COLUMNS = {
    "aml": "microscopy",
    "pbc": "microscopy",
    "fundus": "fundus",
    "mammo_calc": "mammography",
    "mammo_mass": "mammography",
    "oct": "oct",
    "pneumonia": "xray",
}
"""Column of the ``modality`` profile for each data set."""

KERNELS = {
    "gaussian_noise": {"module": "levels", "draws": ["uniforms"], "identity": {"std": 0.0}},
    "impulse_noise": {"module": "levels", "draws": ["uniforms"], "identity": {"amount": 0.0}},
    "add_value": {"module": "levels", "draws": [], "identity": {"delta": 0.0}},
    "scale": {"module": "levels", "draws": [], "identity": {"percent": 100}},
    "channel_mean": {"module": "levels", "draws": [], "identity": {"percent": 100}},
    "luma_mean": {"module": "levels", "draws": [], "identity": {"percent": 100}},
    "motion_blur": {"module": "motion", "draws": ["angles"], "identity": {"radius": 0}},
    "zoom_blur": {"module": "zoom", "draws": [], "identity": {"percents": [100]}},
    "pixelate": {"module": "pixelate", "draws": [], "identity": {"percent": 100}},
}
"""Every kernel: a function of this name in that module of ``cpu`` and of ``gpu``, and in ``literature``.

``draws`` is what it takes beside the images, in this order: ``uniforms``, 16 bits for each element; ``pixels``, 16 bits
for each pixel; ``angles``, 8 bits for each image; ``words``, as many words of 32 bits for each image as ``words`` says.
``identity`` are the parameters that leave the images as they are; any that it does not name may have any legal value.
"""

EXTENDED_STRENGTHS = {
    "imagenet-c": {
        # Noise.
        "shot_noise": {"kernel": "shot_noise", "photons": [60, 25, 12, 5, 3], "source": "HD"},
        "speckle_noise": {"kernel": "speckle_noise", "std": [0.15, 0.2, 0.35, 0.45, 0.6], "source": "HD"},
        # Blur.
        "gaussian_blur": {"kernel": "gaussian_blur", "sigma": [1, 2, 3, 4, 6], "source": "HD"},
        "defocus_blur": {
            "kernel": "defocus_blur",
            "radius": [3, 4, 6, 8, 10],
            "alias_blur": [0.1, 0.5, 0.5, 0.5, 0.5],
            "source": "HD",
        },
        "glass_blur": {
            "kernel": "glass_blur",
            "sigma": [0.7, 0.9, 1, 1.1, 1.5],
            "max_delta": [1, 2, 2, 3, 4],
            "iterations": [2, 1, 3, 2, 2],
            "source": "HD",
        },
        # Weather.
        "snow": {
            "kernel": "snow",
            "mean": [0.1, 0.2, 0.55, 0.55, 0.55],
            "spread": [0.3, 0.3, 0.3, 0.3, 0.3],
            "percent": [300, 200, 400, 450, 250],
            "threshold": [0.5, 0.5, 0.9, 0.85, 0.85],
            "radius": [10, 12, 12, 12, 12],
            "sigma": [4, 4, 8, 8, 12],
            "keep": [0.8, 0.7, 0.7, 0.65, 0.55],
            "source": "HD",
        },
        "frost": {
            "kernel": "frost",
            "keep": [1, 0.8, 0.7, 0.65, 0.6],
            "ice": [0.4, 0.6, 0.7, 0.7, 0.75],
            "source": "HD",
        },
        "fog": {"kernel": "fog", "amount": [1.5, 2, 2.5, 2.5, 3], "decay": [2, 2, 1.7, 1.5, 1.4], "source": "HD"},
        "spatter": {
            "kernel": "spatter",
            "mean": [0.65, 0.65, 0.65, 0.65, 0.67],
            "spread": [0.3, 0.3, 0.3, 0.3, 0.4],
            "sigma": [4, 3, 2, 1, 1],
            "threshold": [0.69, 0.68, 0.68, 0.65, 0.65],
            "edge": [0, 0, 0, 1.5, 1.5],
            "opacity": [0.6, 0.6, 0.5, 0, 0],
            "mud": [0, 0, 0, 1, 1],
            "source": "HD",
        },
        # Colour.
        "saturate": {
            "kernel": "saturate",
            "percent": [30, 10, 200, 500, 2000],
            "rise": [0, 0, 0, 10, 20],
            "source": "HD",
        },
        "brightness_up": {"kernel": "scale", "percent": [110, 120, 130, 140, 150], "source": "MM:chest"},
        "brightness_down": {"kernel": "scale", "percent": [90, 80, 70, 60, 50], "source": "MM:chest"},
        "contrast_up": {"kernel": "luma_stretch", "percent": [110, 120, 130, 140, 160], "source": "MM:chest"},
        "contrast_down": {"kernel": "luma_mean", "percent": [90, 80, 70, 60, 40], "source": "MM:chest"},
        "gamma_corr_up": {"kernel": "gamma", "exponent": [1.1, 1.2, 1.3, 1.4, 1.6], "source": "MM:chest"},
        "gamma_corr_down": {"kernel": "gamma", "exponent": [0.9, 0.8, 0.7, 0.6, 0.4], "source": "MM:chest"},
        "stain_variation": {"kernel": "stain_variation", "spread": [0.3, 0.42, 0.55, 0.65, 0.75], "source": "new"},
        # Compression, geometry and writing.
        "jpeg_compression": {"kernel": "jpeg_compression", "quality": [25, 18, 15, 10, 7], "source": "HD"},
        "characters": {
            "kernel": "characters",
            "max_words": [1, 2, 3, 4, 6],
            "max_letters": [6, 7, 8, 9, 10],
            "source": "MM:derma",
        },
        "elastic_transform": {
            "kernel": "elastic_transform",
            "alpha": [488, 488, 12.2, 17.08, 29.28],
            "sigma": [170.8, 19.52, 2.44, 2.44, 2.44],
            "shift": [24.4, 48.8, 4.88, 4.88, 4.88],
            "source": "HD",
        },
        # Acquisition.
        "bubble": {
            "kernel": "bubble",
            "max_radius": [7, 10, 12, 15, 17],
            "max_bubbles": [15, 15, 15, 20, 25],
            "source": "MM:path",
        },
        "stain_deposit": {"kernel": "stain_deposit", "count": [1, 2, 3, 4, 5], "source": "MM:path"},
        "black_corner": {"kernel": "black_corner", "percent": [110, 105, 100, 90, 95], "source": "MM:derma"},
        "bias_field": {"kernel": "bias_field", "coefficient": [0.33, 0.52, 0.68, 0.85, 1.0], "source": "new"},
        "acoustic_shadow": {
            "kernel": "acoustic_shadow",
            "count": [2, 3, 4, 5, 6],
            "depth": [0.5, 0.67, 0.78, 0.88, 0.95],
            "source": "new",
        },
        "vignetting": {"kernel": "vignetting", "falloff": [0.36, 0.57, 0.76, 0.96, 1.17], "source": "new"},
        "uneven_illumination": {
            "kernel": "uneven_illumination",
            "slope": [0.43, 0.62, 0.76, 0.89, 1.0],
            "source": "new",
        },
        "scatter": {"kernel": "scatter", "fraction": [0.31, 0.45, 0.55, 0.64, 0.71], "source": "new"},
        "grid_lines": {"kernel": "grid_lines", "depth": [0.068, 0.106, 0.142, 0.177, 0.213], "source": "new"},
    },
    "modality": {
        # Noise.
        "shot_noise": {
            "microscopy": {"kernel": "shot_noise", "photons": [60, 25, 18, 10, 5], "source": "MM:derma"},
            "fundus": {"kernel": "shot_noise", "photons": [60, 25, 18, 10, 5], "source": "MM:derma"},
            "mammography": {"kernel": "shot_noise", "photons": [60, 25, 18, 10, 5], "source": "MM:chest"},
            "oct": {"kernel": "shot_noise", "photons": [200, 100, 50, 25, 15], "source": "MM:organ"},
            "xray": {"kernel": "shot_noise", "photons": [300, 200, 150, 100, 80], "source": "MM"},
        },
        "speckle_noise": {
            "microscopy": {"kernel": "speckle_noise", "std": [0.05, 0.15, 0.2, 0.35, 0.45], "source": "MM:derma"},
            "fundus": {"kernel": "speckle_noise", "std": [0.1, 0.15, 0.2, 0.25, 0.3], "source": "MM"},
            "mammography": {"kernel": "speckle_noise", "std": [0.05, 0.15, 0.2, 0.35, 0.45], "source": "MM:chest"},
            "oct": {"kernel": "speckle_noise", "std": [0.15, 0.3, 0.4, 0.5, 0.6], "source": "MM"},
            "xray": {"kernel": "speckle_noise", "std": [0.05, 0.07, 0.1, 0.15, 0.2], "source": "MM"},
        },
        # Blur.
        "gaussian_blur": {
            "microscopy": {"kernel": "gaussian_window", "size": [13, 15, 17, 21, 25], "source": "MM:tissue"},
            "fundus": "imagenet-c",
            "mammography": {"kernel": "gaussian_window", "size": [3, 5, 7, 9, 11], "source": "MM:chest"},
            "oct": {"kernel": "gaussian_window", "size": [11, 13, 15, 17, 21], "source": "MM:organ"},
            "xray": {"kernel": "gaussian_window", "size": [3, 5, 7, 9, 11], "source": "MM"},
        },
        "defocus_blur": {
            "microscopy": {
                "kernel": "defocus_blur",
                "radius": [2, 3, 4, 5, 6],
                "alias_blur": [0.01, 0.1, 0.1, 0.1, 0.1],
                "source": "MM",
            },
            "fundus": {
                "kernel": "defocus_blur",
                "radius": [4, 5, 6, 7, 8],
                "alias_blur": [0.1, 0.2, 0.3, 0.4, 0.5],
                "source": "MM",
            },
            "mammography": "imagenet-c",
            "oct": {
                "kernel": "defocus_blur",
                "radius": [0.5, 1, 1.5, 2, 2.5],
                "alias_blur": [0.6, 0.5, 0.1, 0.5, 0.1],
                "source": "MM",
            },
            "xray": "imagenet-c",
        },
        "glass_blur": "imagenet-c",
        # Weather.
        "snow": "imagenet-c",
        "frost": "imagenet-c",
        "fog": "imagenet-c",
        "spatter": "imagenet-c",
        # Colour.
        "saturate": {
            "microscopy": {
                "kernel": "saturate",
                "percent": [100, 100, 100, 100, 100],
                "rise": [5, 10, 15, 17, 20],
                "source": "MM",
            },
            "fundus": "imagenet-c",
            "mammography": "imagenet-c",
            "oct": "imagenet-c",
            "xray": "imagenet-c",
        },
        "brightness_up": {
            "microscopy": {"kernel": "scale", "percent": [110, 120, 130, 135, 140], "source": "MM"},
            "fundus": {"kernel": "scale", "percent": [110, 120, 130, 140, 150], "source": "MM:derma"},
            "mammography": "imagenet-c",
            "oct": {"kernel": "scale", "percent": [120, 130, 140, 150, 160], "source": "MM:organ"},
            "xray": {"kernel": "scale", "percent": [110, 120, 130, 140, 150], "source": "MM"},
        },
        "brightness_down": {
            "microscopy": {"kernel": "scale", "percent": [90, 80, 70, 60, 50], "source": "MM"},
            "fundus": {"kernel": "scale", "percent": [90, 80, 70, 60, 50], "source": "MM"},
            "mammography": "imagenet-c",
            "oct": {"kernel": "scale", "percent": [80, 75, 70, 65, 60], "source": "MM:organ"},
            "xray": {"kernel": "scale", "percent": [90, 80, 70, 60, 50], "source": "MM"},
        },
        "contrast_up": {
            "microscopy": {"kernel": "luma_stretch", "percent": [110, 115, 120, 125, 130], "source": "MM"},
            "fundus": {"kernel": "luma_stretch", "percent": [110, 120, 130, 140, 160], "source": "MM:derma"},
            "mammography": "imagenet-c",
            "oct": {"kernel": "luma_stretch", "percent": [130, 140, 160, 170, 180], "source": "MM:organ"},
            "xray": {"kernel": "luma_stretch", "percent": [110, 120, 130, 140, 160], "source": "MM"},
        },
        "contrast_down": {
            "microscopy": {"kernel": "luma_mean", "percent": [90, 80, 70, 60, 50], "source": "MM"},
            "fundus": {"kernel": "luma_mean", "percent": [90, 80, 70, 60, 40], "source": "MM"},
            "mammography": "imagenet-c",
            "oct": {"kernel": "luma_mean", "percent": [60, 40, 30, 20, 15], "source": "MM"},
            "xray": {"kernel": "luma_mean", "percent": [90, 80, 70, 60, 40], "source": "MM"},
        },
        "gamma_corr_up": {
            "microscopy": "imagenet-c",
            "fundus": "imagenet-c",
            "mammography": "imagenet-c",
            "oct": {"kernel": "gamma", "exponent": [1.3, 1.4, 1.6, 1.8, 2.0], "source": "MM:organ"},
            "xray": {"kernel": "gamma", "exponent": [1.1, 1.2, 1.3, 1.4, 1.6], "source": "MM"},
        },
        "gamma_corr_down": "imagenet-c",
        "stain_variation": "imagenet-c",
        # Compression, geometry and writing.
        "jpeg_compression": {
            "microscopy": {"kernel": "jpeg_compression", "quality": [50, 30, 15, 10, 7], "source": "MM"},
            "fundus": {"kernel": "jpeg_compression", "quality": [30, 25, 20, 10, 5], "source": "MM"},
            "mammography": {"kernel": "jpeg_compression", "quality": [50, 30, 15, 10, 7], "source": "MM"},
            "oct": {"kernel": "jpeg_compression", "quality": [30, 15, 10, 7, 5], "source": "MM"},
            "xray": {"kernel": "jpeg_compression", "quality": [50, 30, 15, 10, 7], "source": "MM"},
        },
        "characters": "imagenet-c",
        "elastic_transform": "imagenet-c",
        # Acquisition.
        "bubble": {
            "microscopy": {
                "kernel": "bubble",
                "max_radius": [5, 7, 10, 12, 15],
                "max_bubbles": [10, 10, 10, 12, 12],
                "source": "MM",
            },
            "fundus": "imagenet-c",
            "mammography": "imagenet-c",
            "oct": "imagenet-c",
            "xray": "imagenet-c",
        },
        "stain_deposit": "imagenet-c",
        "black_corner": "imagenet-c",
        "bias_field": "imagenet-c",
        "acoustic_shadow": "imagenet-c",
        "vignetting": "imagenet-c",
        "uneven_illumination": "imagenet-c",
        "scatter": "imagenet-c",
        "grid_lines": "imagenet-c",
    },
}
"""The extended set, beside the seven: corruptions that a build may add, as in `STRENGTHS`."""

EXTENDED_KERNELS = {
    # Noise.
    "shot_noise": {"module": "noise", "draws": ["uniforms"], "identity": {"photons": 0}},
    "speckle_noise": {"module": "noise", "draws": ["uniforms"], "identity": {"std": 0.0}},
    # Blur.
    "gaussian_blur": {"module": "blur", "draws": [], "identity": {"sigma": 0}},
    "gaussian_window": {"module": "blur", "draws": [], "identity": {"size": 1}},
    "defocus_blur": {"module": "blur", "draws": [], "identity": {"radius": 0, "alias_blur": 0.1}},
    "glass_blur": {"module": "blur", "draws": ["pixels"], "identity": {"sigma": 0, "iterations": 0}},
    # Weather.
    "snow": {
        "module": "precipitation",
        "draws": ["pixels", "words"],
        "words": 1,
        "identity": {"threshold": 8.0, "keep": 1.0},
    },
    "frost": {"module": "weather", "draws": ["words"], "words": 96, "identity": {"keep": 1.0, "ice": 0.0}},
    "fog": {"module": "weather", "draws": ["words"], "words": 32768, "identity": {"amount": 0.0}},
    "spatter": {"module": "precipitation", "draws": ["pixels"], "identity": {"threshold": 8.0}},
    # Colour.
    "saturate": {"module": "colour", "draws": [], "identity": {"percent": 100, "rise": 0}},
    "luma_stretch": {"module": "colour", "draws": [], "identity": {"percent": 100}},
    "gamma": {"module": "colour", "draws": [], "identity": {"exponent": 1.0}},
    "stain_variation": {"module": "colour", "draws": ["words"], "words": 6, "identity": {"spread": 0.0}},
    # Compression, geometry and writing.
    "jpeg_compression": {"module": "compression", "draws": [], "identity": {}},
    "characters": {"module": "overlay", "draws": ["words"], "words": 31, "identity": {"max_words": 0}},
    "elastic_transform": {
        "module": "geometry",
        "draws": ["pixels", "words"],
        "words": 3,
        "identity": {"alpha": 0, "shift": 0},
    },
    # Acquisition.
    "bubble": {"module": "artefacts", "draws": ["words"], "words": 76, "identity": {"max_bubbles": 0}},
    "stain_deposit": {"module": "artefacts", "draws": ["words"], "words": 30, "identity": {"count": 0}},
    "black_corner": {"module": "artefacts", "draws": [], "identity": {"percent": 1000000}},
    "bias_field": {"module": "illumination", "draws": ["words"], "words": 9, "identity": {"coefficient": 0.0}},
    "acoustic_shadow": {"module": "illumination", "draws": ["words"], "words": 16, "identity": {"depth": 0.0}},
    "vignetting": {"module": "illumination", "draws": ["words"], "words": 2, "identity": {"falloff": 0.0}},
    "uneven_illumination": {"module": "illumination", "draws": ["angles"], "identity": {"slope": 0.0}},
    "scatter": {"module": "illumination", "draws": [], "identity": {"fraction": 0.0}},
    "grid_lines": {"module": "artefacts", "draws": ["words"], "words": 2, "identity": {"depth": 0.0}},
}
"""The kernels that only the extended set has, in that module of `corruptions.extended`, as in `KERNELS`.

Where ``identity`` is empty, no parameters leave every image as it is.
"""
