-- rnnlint in Neovim, beside whatever other servers there are.  Copy this to
-- ~/.config/nvim/plugin/rnnlint.lua; `rnnlint` must be on the path, or named here in full.

local command = { "rnnlint", "server" }
local markers = { "pyproject.toml", "rnnlint.toml", ".rnnlint.toml", ".git" }
local fix_on_save = false

if vim.lsp.config then -- Neovim 0.11 and later
  vim.lsp.config("rnnlint", { cmd = command, filetypes = { "python" }, root_markers = markers })
  vim.lsp.enable("rnnlint")
else
  local clients = {}

  local function root_of(path)
    local folder = vim.fn.fnamemodify(path, ":p:h")
    local here = folder
    while true do
      for _, marker in ipairs(markers) do
        if vim.loop.fs_stat(here .. "/" .. marker) then
          return here
        end
      end
      local above = vim.fn.fnamemodify(here, ":h")
      if above == here then
        return folder
      end
      here = above
    end
  end

  vim.api.nvim_create_autocmd("FileType", {
    pattern = "python",
    callback = function(event)
      local root = root_of(vim.api.nvim_buf_get_name(event.buf))
      local known = clients[root]
      if not known or not vim.lsp.get_client_by_id(known) then
        clients[root] = vim.lsp.start_client({
          name = "rnnlint",
          cmd = command,
          root_dir = root,
          workspace_folders = { { uri = vim.uri_from_fname(root), name = root } },
        })
      end
      vim.lsp.buf_attach_client(event.buf, clients[root])
    end,
  })
end

--- Make the repairs that are safe in a buffer, and wait until they are made.
local function fix_all(buffer)
  buffer = buffer or vim.api.nvim_get_current_buf()
  local kind = "source.fixAll.rnnlint"
  local params = {
    textDocument = { uri = vim.uri_from_bufnr(buffer) },
    range = {
      start = { line = 0, character = 0 },
      ["end"] = { line = vim.api.nvim_buf_line_count(buffer), character = 0 },
    },
    context = { only = { kind }, diagnostics = {} },
  }
  local offered = vim.lsp.buf_request_sync(buffer, "textDocument/codeAction", params, 10000)
  for id, answer in pairs(offered or {}) do
    local client = vim.lsp.get_client_by_id(id)
    for _, action in ipairs(answer.result or {}) do
      if client and client.name == "rnnlint" and action.kind == kind then
        local chosen = vim.lsp.buf_request_sync(buffer, "codeAction/resolve", action, 10000)
        local result = chosen and chosen[id] and chosen[id].result
        if result and result.edit then
          vim.lsp.util.apply_workspace_edit(result.edit, client.offset_encoding)
        end
      end
    end
  end
end

vim.api.nvim_create_user_command("RnnlintFixAll", function()
  fix_all()
end, { desc = "Make the repairs of rnnlint that are safe in this buffer" })

if fix_on_save then
  vim.api.nvim_create_autocmd("BufWritePre", {
    pattern = "*.py",
    callback = function(event)
      fix_all(event.buf)
    end,
  })
end
