"""Git settings that people have, each of which would change what is made."""

SETTINGS = {
    "context-0": "[diff]\n\tcontext = 0\n",
    "cover-letter": "[format]\n\tcoverLetter = true\n",
    "eol-crlf": "[core]\n\teol = crlf\n",
    "ignore-stat": "[core]\n\tignoreStat = true\n",
    "mnemonic-prefix": "[diff]\n\tmnemonicPrefix = true\n",
    "noprefix": "[diff]\n\tnoprefix = true\n",
    "show-signature": "[log]\n\tshowSignature = true\n",
    "suffix": "[format]\n\tsuffix = .txt\n\tnumbered = true\n\tattach = part\n",
    "untracked-no": "[status]\n\tshowUntrackedFiles = no\n",
    "use-auto-base": "[format]\n\tuseAutoBase = true\n",
}
